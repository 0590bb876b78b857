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
no_effect() {
	expect_match 'warn: TUTTI_TRACE has no effect' "$(TUTTI_TRACE=file "$hello" 2>&1 >/dev/null)"
}
check "a setting without effect is named" no_effect
readme_shows_hello() {
	awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$(dirname "$0")/../../README.md" |
		diff - <(tail -n +2 "$(dirname "$0")/../../docs/examples/hello.c")
}
check "the README shows hello.c as it is" readme_shows_hello
check "three ranks compute while they communicate" expect 3 \
	"$("$tutti" run -n 3 --timeout 30 --no-prefix "$nonblocking" | grep -c '524288 values, 0 of them wrong')"
finish
