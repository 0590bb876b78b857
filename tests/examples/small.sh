#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The small examples do what the guide says. usage: small.sh TUTTI HELLO NONBLOCKING
set -u
tutti=$1 hello=$2 nonblocking=$3
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/../cli/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

check "hello is alone without a launcher" expect "rank 0 of 1: the sum is 1" "$("$hello")"
check "hello adds up over three ranks" expect \
	"rank 0 of 3: the sum is 6 rank 1 of 3: the sum is 6 rank 2 of 3: the sum is 6" \
	"$("$tutti" run -n 3 --timeout 30 --no-prefix "$hello" | sort | tr '\n' ' ' | sed 's/ $//')"
trace=$work/trace
# Of each rank: a process, a row, and operations that take no negative time and end well.
read_trace() {
	python3 - "$1" "$2" <<'PYTHON'
import json, sys
events = json.loads(open(sys.argv[1]).read().rstrip().rstrip(",") + "]")
ranks, operations = int(sys.argv[2]), [e for e in events if e["ph"] == "X"]
named = {(e["name"], e["pid"]) for e in events if e["ph"] == "M"}
good = all(e["dur"] >= 0 and e["args"]["waited_us"] >= 0 and e["args"]["status"] == "TUTTI_OK" for e in operations)
print(good and len(named) == 2 * ranks and len({e["pid"] for e in operations}) == ranks
      and sorted({e["name"].split("(")[0] for e in operations}))
PYTHON
}
trace_of_three() {
	rm -f "$trace"
	TUTTI_TRACE=$trace "$tutti" run -n 3 --timeout 30 "$nonblocking" >/dev/null
	expect "['all_reduce']" "$(read_trace "$trace" 3)" || return
	# Another job goes on in the same file.
	TUTTI_TRACE=$trace "$tutti" run -n 2 --timeout 30 "$hello" >/dev/null
	expect "['all_reduce']" "$(read_trace "$trace" 5)"
}
check "a trace tells what every rank's operations did" trace_of_three
bad_trace() {
	expect_match 'TUTTI_TRACE: cannot open ./no/such/trace' "$(TUTTI_TRACE=/no/such/trace "$hello" 2>&1 >/dev/null)"
}
check "a trace that cannot be written is an error" bad_trace
readme_shows_hello() {
	awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$(dirname "$0")/../../README.md" |
		diff - <(tail -n +2 "$(dirname "$0")/../../docs/examples/hello.c")
}
check "the README shows hello.c as it is" readme_shows_hello
check "three ranks compute while they communicate" expect 3 \
	"$("$tutti" run -n 3 --timeout 30 --no-prefix "$nonblocking" | grep -c '524288 values, 0 of them wrong')"
finish
