# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Test Anything Protocol for the shell tests of the `tutti` program: source it, call `check`, end with `finish`.
#
# Every process that a test starts inherits MARK, so that what is left behind can be found, and nothing else.

MARK="tutti-test-$$-$RANDOM"
export MARK
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
failures=0

# check NAME COMMAND...: the command must succeed.
check() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@" >"$work/check.log" 2>&1; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' "$work/check.log"
		failures=$((failures + 1))
	fi
}

finish() {
	echo "1..$number"
	exit $((failures > 0))
}

# expect WANTED GOT
expect() {
	[ "$1" = "$2" ] || {
		printf 'wanted: %s\ngot:    %s\n' "$1" "$2"
		return 1
	}
}

# expect_match PATTERN TEXT: an extended regular expression, somewhere in the text.
expect_match() {
	grep -Eq -- "$1" <<<"$2" || {
		printf 'wanted: %s\ngot:    %s\n' "$1" "$2"
		return 1
	}
}

# The processes of this test that run the program `sleep` (what the ranks below start).
sleepers() {
	local file pids=""
	for file in /proc/[0-9]*/environ; do
		if [ "$(cat "${file%environ}comm" 2>/dev/null)" = sleep ] &&
			tr '\0' '\n' <"$file" 2>/dev/null | grep -qx "MARK=$MARK"; then
			file=${file#/proc/}
			pids="$pids ${file%/environ}"
		fi
	done
	echo "$pids"
}

# child_of PID: its only child.
child_of() {
	awk -v parent="$1" '{ sub(/^.*\) /, ""); if ($2 == parent) { split(FILENAME, part, "/"); print part[3] } }' \
		/proc/[0-9]*/stat 2>/dev/null
}

# wait_until COMMAND...: tries for at most 10 s.
wait_until() {
	local tries
	for ((tries = 0; tries < 500; tries++)); do
		"$@" && return 0
		sleep 0.02
	done
	return 1
}

no_sleepers() {
	[ -z "$(sleepers)" ]
}

# sleepers_are N
sleepers_are() {
	# shellcheck disable=SC2046
	set -- "$1" $(sleepers)
	[ $(($# - 1)) = "$1" ]
}

no_sleepers_soon() {
	wait_until no_sleepers || {
		echo "left behind:$(sleepers)"
		return 1
	}
}
