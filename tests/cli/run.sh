#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti run` promises: status, output, signals, and nothing left behind. usage: run.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"

# status WANTED COMMAND...
status() {
	local wanted=$1 got
	shift
	"$@"
	got=$?
	expect "$wanted" "$got"
}

# ---- command line

usage_error() {
	local pattern=$1 text
	shift
	text=$("$tutti" "$@" 2>&1 >/dev/null)
	expect 2 $? && expect_match "$pattern" "$text" && expect 1 "$(wc -l <<<"$text")"
}
check "no number of ranks is a usage error" usage_error 'how many ranks.*--help' run true
check "no program is a usage error" usage_error 'which program.*--help' run -n 2
check "a bad number of ranks is a usage error" usage_error '-n 0' run -n 0 true
check "a negative number of ranks is a usage error" usage_error '-n -3' run -n -3 true
check "an unknown option is a usage error" usage_error 'unknown option --frob.*--help' run --frob
check "an option without its value is a usage error" usage_error 'needs a value' run -n
check "a bad word is a usage error" usage_error 'kill nor keep' run -n 1 --on-fail maybe true
check "a bad binding is a usage error" usage_error 'core, numa, none' run -n 1 --bind socket true
check "a bad time limit is a usage error" usage_error 'seconds' run -n 1 --timeout -1 true
check "an unknown command is a usage error" usage_error "no command 'frobnicate'" frobnicate
help_is_shown() {
	expect_match 'Usage: tutti run' "$("$tutti" run --help)" && expect_match 'run ' "$("$tutti" --help)"
}
check "--help explains on stdout" help_is_shown
check "options behind the program are the program's" expect "-n 7 --help" \
	"$("$tutti" run -n 1 --no-prefix echo -n 7 --help 2>&1 | sed 's/^7/-n 7/')"

# ---- environment

environment() {
	# shellcheck disable=SC2016
	"$tutti" run -n 3 --no-prefix sh -c 'echo $TUTTI_RANK $TUTTI_SIZE $TUTTI_LOCAL_RANK $TUTTI_LOCAL_SIZE' | sort
}
check "each rank knows its number" expect "0 3 0 3
1 3 1 3
2 3 2 3" "$(environment)"
# shellcheck disable=SC2016
secret='od -An -tx1 <&$TUTTI_SECRET_FD | tr -d " \n"; echo " $TUTTI_JOB"'
secrets_agree() {
	local lines
	lines=$("$tutti" run -n 3 --no-prefix bash -c "$secret" | sort -u)
	expect_match '^[0-9a-f]{64} [0-9a-f]{32}$' "$lines" && expect 1 "$(wc -l <<<"$lines")"
}
check "all ranks of a job have one secret and one job name" secrets_agree
secrets_differ() {
	[ "$("$tutti" run -n 1 bash -c "$secret")" != "$("$tutti" run -n 1 bash -c "$secret")" ]
}
check "two jobs have different secrets" secrets_differ
# shellcheck disable=SC2016
check "a rank cannot change the secret" status 1 "$tutti" run -n 1 bash -c 'echo x >/proc/self/fd/$TUTTI_SECRET_FD'
secret_in_environment() {
	"$tutti" run -n 1 --no-prefix env | grep -q '^TUTTI_SECRET='
}
check "the secret is not in the environment" status 1 secret_in_environment

# ---- status

check "success of all ranks is status 0" status 0 "$tutti" run -n 3 true
first_failure() {
	local text
	# shellcheck disable=SC2016
	text=$("$tutti" run -n 3 sh -c '[ $TUTTI_RANK != 1 ] || exit 7; exec sleep 60' 2>&1)
	expect 7 $? && expect_match 'rank 1 \(pid [0-9]+\) exited with status 7' "$text" &&
		expect 1 "$(wc -l <<<"$text")" && no_sleepers_soon
}
check "the first failure ends the job with its status and one line" first_failure
killed_rank() {
	local text
	# shellcheck disable=SC2016
	text=$("$tutti" run -n 2 sh -c '[ $TUTTI_RANK != 1 ] || kill -KILL $$; exec sleep 60' 2>&1)
	expect 137 $? && expect_match 'rank 1 .* killed by signal 9' "$text" && no_sleepers_soon
}
check "a rank killed by a signal gives 128 + signal" killed_rank
kept() {
	local text
	# shellcheck disable=SC2016
	text=$("$tutti" run -n 3 --on-fail keep sh -c '[ $TUTTI_RANK != 1 ] || exit 5; sleep 0.2; echo still' 2>&1)
	expect 5 $? && expect 2 "$(grep -c still <<<"$text")"
}
check "--on-fail keep lets the others finish" kept
check "a rank that ignores SIGTERM is killed" status 3 "$tutti" run -n 2 bash -c \
	'[ $TUTTI_RANK = 0 ] && { sleep 0.2; exit 3; }; trap "" TERM; while :; do sleep 0.1; done'
check "a stopped rank is ended too" status 3 "$tutti" run -n 2 bash -c \
	'[ $TUTTI_RANK = 0 ] && { sleep 0.2; exit 3; }; kill -STOP $$'
time_limit() {
	local text
	text=$("$tutti" run -n 2 --timeout 0.2 sleep 60 2>&1)
	expect 124 $? && expect_match 'time limit of 0.2 s.* 0 1' "$text" && no_sleepers_soon
}
check "--timeout ends the job with status 124 and names the ranks" time_limit
not_found() {
	local text
	text=$("$tutti" run -n 4 no-such-program-here 2>&1)
	expect 127 $? && expect_match "cannot run 'no-such-program-here': No such file" "$text" &&
		expect 1 "$(wc -l <<<"$text")"
}
check "a program that does not exist is told once, status 127" not_found
check "a program that cannot be executed is status 126" status 126 "$tutti" run -n 2 "$work"

# ---- output

check "lines are prefixed with the rank" expect "[0] a 0
[1] a 1" "$("$tutti" run -n 2 sh -c 'echo a $TUTTI_RANK' | sort)"
check "a last line without newline is shown" expect "[0] x
[1] x" "$("$tutti" run -n 2 printf x | sort)"
check "--no-prefix hands bytes through unchanged" cmp <(head -c 300000 "$tutti") \
	<("$tutti" run -n 1 --no-prefix head -c 300000 "$tutti")
unmixed() {
	local wrong
	wrong=$("$tutti" run -n 4 bash -c 'for i in {1..300}; do printf "%s" $TUTTI_RANK; printf "%0200d\n" $i; done' |
		awk '{ split($1, p, /[][]/); if (length($2) != 201 || substr($2, 1, 1) != p[2]) print } END { if (NR != 1200) print NR }')
	expect "" "$wrong"
}
check "lines of ranks are never mixed" unmixed
check "stdin goes to rank 0 only" expect "[0] hello" "$(echo hello | "$tutti" run -n 3 cat)"
err_apart() {
	"$tutti" run -n 1 sh -c 'echo out; echo err >&2' >"$work/out" 2>"$work/err"
	expect "[0] out" "$(cat "$work/out")" && expect "[0] err" "$(cat "$work/err")"
}
check "stdout and stderr stay apart" err_apart
reader_leaves() {
	# yes must die of SIGPIPE as in any pipeline, not write for ever
	timeout 20 "$tutti" run -n 1 yes 2>/dev/null | head -n 1 >/dev/null
	[ "${PIPESTATUS[0]}" = 141 ]
}
check "a reader that leaves ends the writers" reader_leaves
long_line() {
	expect 200000 "$("$tutti" run -n 1 --no-prefix head -c 200000 /dev/zero | wc -c)"
}
check "a line without end does not fill the memory and is complete" long_line

# ---- binding

bound_apart() {
	local lists cores
	lists=$("$tutti" run -n 2 --bind core --no-prefix grep Cpus_allowed_list /proc/self/status | sort -u | wc -l)
	cores=$(cat /sys/devices/system/cpu/cpu*/topology/thread_siblings_list 2>/dev/null | sort -u | wc -l)
	# Two ranks share a core only where there is no second one (or the machine does not tell).
	expect $((cores >= 2 && $(nproc) >= 2 ? 2 : 1)) "$lists"
}
check "--bind core gives two ranks two cores" bound_apart
check "--bind numa works on any machine" status 0 "$tutti" run -n 3 --bind numa true

# ---- signals, and nothing left behind

# start ARGUMENTS...: a job in the background; $guard is its process. A test that runs under nohup must not hand that
# down: tutti run respects it.
start() {
	env --default-signal=HUP "$tutti" run --timeout 60 "$@" >"$work/out" 2>"$work/err" &
	guard=$!
}

passes_on() {
	local number=$1
	start -n 2 bash -c "trap 'echo got $number; exit 0' $number; touch $work/ready.\$TUTTI_RANK; while :; do sleep 0.05; done"
	wait_until [ -e "$work/ready.0" ] && wait_until [ -e "$work/ready.1" ] || return 1
	rm -f "$work"/ready.*
	kill -"$number" "$guard"
	wait "$guard"
	expect 0 $? && expect 2 "$(grep -c "got $number" "$work/out")"
}
for name in INT TERM HUP USR1 USR2; do
	check "SIG$name reaches every rank once" passes_on "$name"
done

killed_by() {
	start -n 3 sleep 60
	wait_until sleepers_are 3 || return 1
	kill -"$1" "$guard"
	wait "$guard"
	expect "$2" $? && no_sleepers_soon
}
check "SIGINT that kills the ranks gives 130" killed_by INT 130
check "SIGTERM that kills the ranks gives 143" killed_by TERM 143
check "kill -9 of tutti run leaves no process" killed_by KILL 137
impatient() {
	start -n 2 bash -c "trap '' INT; touch $work/deaf.\$TUTTI_RANK; while :; do sleep 0.05; done"
	wait_until [ -e "$work/deaf.0" ] && wait_until [ -e "$work/deaf.1" ] || return 1
	for _ in 1 2 3; do
		kill -INT "$guard"
		sleep 0.1
	done
	wait "$guard"
	expect 137 $?
}
nohup_counts() {
	(trap '' HUP && exec "$tutti" run --timeout 60 -n 1 bash -c "touch $work/up; sleep 0.5; echo lived") \
		>"$work/out" 2>"$work/err" &
	guard=$!
	wait_until [ -e "$work/up" ] || return 1
	kill -HUP "$guard"
	wait "$guard"
	expect 0 $? && expect "[0] lived" "$(cat "$work/out")"
}
check "under nohup a SIGHUP ends nothing" nohup_counts
check "the third SIGINT kills ranks that ignore it" impatient

# A rank with a child of its own, one that left its session, and one whose parent is gone.
family='sleep 60 & setsid sleep 60 & (setsid sleep 60 &) ; exec sleep 60'
guard_killed_family() {
	start -n 2 bash -c "$family"
	wait_until sleepers_are 8 || { echo "started:$(sleepers)"; return 1; }
	kill -KILL "$guard"
	wait "$guard"
	no_sleepers_soon
}
check "kill -9 of tutti run ends grandchildren and daemons too" guard_killed_family
supervisor_killed_family() {
	local status
	start -n 2 bash -c "$family"
	wait_until sleepers_are 8 || { echo "started:$(sleepers)"; return 1; }
	kill -KILL "$(child_of "$guard")"
	wait "$guard"
	status=$?
	expect 137 $status && no_sleepers_soon && expect_match 'supervisor was killed' "$(cat "$work/err")"
}
check "kill -9 of the supervisor ends everything and is told" supervisor_killed_family
background_ends() {
	"$tutti" run -n 2 bash -c 'setsid sleep 60 >/dev/null 2>&1 & exit 0'
	expect 0 $? && no_sleepers_soon
}
check "what ranks leave in the background ends with the job" background_ends
stuck_reader() {
	mkfifo "$work/fifo"
	"$tutti" run -n 1 bash -c 'sleep 60 & yes' >"$work/fifo" 2>/dev/null &
	guard=$!
	exec 9<"$work/fifo"
	wait_until sleepers_are 1 || return 1
	sleep 0.2
	kill -KILL "$guard"
	wait "$guard"
	no_sleepers_soon
	local result=$?
	exec 9<&-
	return $result
}
check "kill -9 while nobody reads the output leaves no process" stuck_reader
descriptors() {
	expect_match '^[0-9 ]+$' "$("$tutti" run -n 1 --no-prefix bash -c 'cd /proc/self/fd; echo *' | tr '\n' ' ')" || return 1
	# 0, 1, 2, the secret, and the folder that is listed: nothing of the launcher's
	"$tutti" run -n 3 --no-prefix bash -c 'for f in /proc/$$/fd/*; do readlink $f; done' </dev/null |
		grep -Ev '^(/dev/null|pipe:.*|/memfd:tutti-secret.*)$' >"$work/strange"
	expect "" "$(cat "$work/strange")"
}
check "ranks inherit no descriptor of the launcher" descriptors

finish
