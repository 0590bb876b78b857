#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memory.sh COMMAND...: a job under memory limits of a real cgroup, from far too little to enough. It ends well,
# or says at creation which limit there is no memory under: no SIGBUS, and nobody is killed for memory.
set -u
number=0 bad=0 refused=0

skip() {
	echo "1..0 # SKIP $1"
	exit 0
}

make_group() { # sets group, limit, peak and kills
	local name=tutti-test-$$ own
	own=$(sed -n 's/^[0-9]*:[^:]*\<memory\>[^:]*://p' /proc/self/cgroup)
	for group in "/sys/fs/cgroup/memory$own/$name" "/sys/fs/cgroup/memory/$name"; do
		limit=$group/memory.limit_in_bytes events=$group/memory.oom_control
		mkdir "$group" 2>/dev/null && [ -w "$limit" ] && return
		rmdir "$group" 2>/dev/null
	done
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	for group in "/sys/fs/cgroup$own/$name" "/sys/fs/cgroup/$name"; do
		limit=$group/memory.max events=$group/memory.events
		mkdir "$group" 2>/dev/null && [ -w "$limit" ] && [ -w "$group/cgroup.procs" ] && return
		rmdir "$group" 2>/dev/null
	done
	return 1
}

killed() { sed -n 's/^oom_kill //p' "$events"; }

run() { # MIB COMMAND...: output in $out, status in $status, who was killed for memory in $kills
	local before
	before=$(killed)
	echo "$(($1 << 20))" >"$limit"
	shift
	out=$( (echo "$BASHPID" >"$group/cgroup.procs" && exec timeout 60 "$@") 2>&1)
	status=$?
	kills=$(($(killed) - ${before:-0}))
}

make_group || skip "no memory cgroup may be made here"
trap 'rmdir "$group"' EXIT
run 2048 "$@"
[ $status = 0 ] || { echo "1..1"; echo "not ok 1 - a job with memory enough: status $status"; sed 's/^/# /' <<<"$out"; exit 1; }
echo "1..9"
for mib in 16 20 24 28 32 36 40 64 128; do
	number=$((number + 1))
	run $mib "$@"
	if [ "$kills" = 0 ] && { [ $status = 0 ] || grep -q 'TUTTI_ERR_NOMEM\|no memory for' <<<"$out"; } && ! grep -q 'killed by signal' <<<"$out"; then
		said=enough
		[ $status = 0 ] || { refused=$((refused + 1)) && said=$(grep -o 'no memory for.*' <<<"$out" | head -n 1); }
		echo "ok $number - a limit of $mib MiB: $said"
	else
		echo "not ok $number - a limit of $mib MiB: status $status, $kills killed"
		sed 's/^/# /' <<<"$out"
		bad=1
	fi
done
[ $refused -gt 0 ] || echo "# no limit was refused: those tried are too large to say anything"
exit $bad
