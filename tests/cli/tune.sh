#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `tutti tune` promises. usage: tune.sh TUTTI
set -u
tutti=$1
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
unset "${!TUTTI_@}"
export XDG_CACHE_HOME=$work/cache
mkdir "$XDG_CACHE_HOME"

check "an argument is a usage error" expect 2 "$("$tutti" tune all >/dev/null 2>&1; echo $?)"
check "--help explains on stdout" expect_match 'Usage: tutti tune' "$("$tutti" tune --help)"
check "one rank alone is told that there must be two" expect_match 'start at least two' \
	"$("$tutti" run -n 1 --no-prefix "$tutti" tune 2>&1)"
measured() {
	"$tutti" tune >"$work/out" 2>"$work/err" || {
		cat "$work/err"
		return 1
	}
	expect_match '^written to .*/cache/tutti/.*\.profile$' "$(tail -n 1 "$work/out")" && expect "" "$(cat "$work/err")" &&
		expect_match '^one_meeting .* tuned ' "$(cat "$work/out")" && expect_match '^call .* ns ' "$(cat "$work/out")"
}
check "it measures, tells every constant, and writes where programs look" measured
used() {
	local profile
	profile=$(sed -n 's/^written to //p' "$work/out")
	expect "profile: $profile" "$("$tutti" env | tail -n 1)" && expect_match 'one_meeting .* tuned ' "$("$tutti" env)" &&
		"$tutti" sim all_reduce 1K -n 4 --profile "$profile" >/dev/null && TUTTI_PROFILE=$profile "$tutti" explain barrier -n 2 >/dev/null
}
check "what it wrote is used" used
unwritable() {
	"$tutti" tune -o "$work/no/such/file" >/dev/null 2>"$work/err"
	expect 1 $? && expect_match 'cannot write .*/no/such/file: No such file' "$(cat "$work/err")" && expect 1 "$(wc -l <"$work/err")"
}
check "a file that cannot be written is an error" unwritable
finish
