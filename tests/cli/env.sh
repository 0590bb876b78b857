#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti env` promises. usage: env.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
unset "${!TUTTI_@}"

line_of() {
	"$tutti" env 2>/dev/null | grep "^$1 "
}
every_variable() {
	local name
	for name in LOG LOG_FILE TRANSPORTS FABRIC_PROVIDER PLUGINS INTERFACES PORT_RANGE TIMEOUT_MS ALGORITHM PROFILE TOPOLOGY TRACE \
		SECRET_FILE REPRODUCIBLE PROGRESS_THREAD CMA RANK SIZE LOCAL_RANK LOCAL_SIZE; do
		line_of "TUTTI_$name" >/dev/null || {
			echo "TUTTI_$name is missing"
			return 1
		}
	done
}
check "every variable is listed" every_variable
check "a default says so" expect_match '^TUTTI_TIMEOUT_MS +300000 +default ' "$(line_of TUTTI_TIMEOUT_MS)"
check "a value of the environment says so" expect_match '^TUTTI_LOG +info +environment ' \
	"$(TUTTI_LOG=info line_of TUTTI_LOG)"
check "what tutti run gives its ranks is shown" expect_match '^TUTTI_SIZE +3 +environment ' \
	"$("$tutti" run -n 3 --no-prefix "$tutti" env | grep TUTTI_SIZE | sort -u)"
check "the plug-in that is missing is named with the folder" expect_match '^tutti-fabric.so +- +not found .*/nowhere' \
	"$(TUTTI_PLUGINS=/nowhere "$tutti" env 2>/dev/null | grep '^tutti-fabric')"
unknown() {
	TUTTI_LGO=info "$tutti" env >"$work/out" 2>"$work/err"
	expect 0 $? && expect_match '^TUTTI_LGO +info .*UNKNOWN' "$(cat "$work/out")" &&
		expect_match 'TUTTI_LGO' "$(cat "$work/err")"
}
check "an unknown variable is named" unknown
bad_value() {
	TUTTI_TIMEOUT_MS=soon "$tutti" env >"$work/out" 2>"$work/err"
	expect 1 $? && expect_match "TUTTI_TIMEOUT_MS.*'soon'" "$(cat "$work/err")" &&
		expect_match 'TUTTI_STAGING' "$(cat "$work/out")"
}
check "a bad value is an error that names the variable, and the list is still complete" bad_value
takes_nothing() {
	"$tutti" env all 2>/dev/null
	expect 2 $?
}
check "an argument is a usage error" takes_nothing
check "--help explains on stdout" expect_match 'Usage: tutti env' "$("$tutti" env --help)"
finish
