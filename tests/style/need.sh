#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What tools/need.sh promises, with package managers that only write down what they are asked. usage: need.sh ROOT
set -u
root=$1
# shellcheck source=tests/cli/tap.sh
. "$root/tests/cli/tap.sh"

mkdir "$work/bin"
for tool in bash cat env; do
	ln -s "$(command -v "$tool")" "$work/bin/$tool"
done
# fake NAME [STATUS]: a program that writes its name and arguments to a log.
fake() {
	printf '#!/bin/bash\necho "%s $*" >>"%s"\nexit %s\n' "$1" "$work/log" "${2:-0}" >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}
# user NUMBER: who we are.
user() {
	printf '#!/bin/bash\necho %s\n' "$1" >"$work/bin/id"
	chmod +x "$work/bin/id"
}
reset() {
	rm -f "$work/bin/apt-get" "$work/bin/dnf" "$work/bin/sudo" "$work/log"
	: >"$work/log"
	user 0
}
# ask COMMANDS: in a shell that sees only the fakes.
ask() {
	PATH="$work/bin" bash -c ". '$root/tools/need.sh'; $1; need_install" >"$work/out" 2>"$work/err"
}

nothing_missing() {
	reset
	fake apt-get
	ask 'need_tool bash bash; want_tool cat coreutils' && expect "" "$(cat "$work/log")" &&
		expect "" "$(cat "$work/err")"
}
check "nothing missing calls nothing and says nothing" nothing_missing
missing() {
	reset
	fake apt-get
	ask 'need_tool nosuchtool pack-a; need_library nosuchlib pack-b' &&
		expect "apt-get install -y --no-install-recommends pack-a pack-b" "$(cat "$work/log")" &&
		expect_match 'Installing with apt-get: pack-a pack-b' "$(cat "$work/err")"
}
check "what is missing is installed and told" missing
with_dnf() {
	reset
	fake dnf
	ask 'need_tool nosuchtool pack-a pack-d' && expect "dnf install -y pack-d" "$(cat "$work/log")"
}
check "dnf is asked by its own names" with_dnf
not_root() {
	reset
	user 1000
	fake apt-get
	ask 'need_tool nosuchtool pack-a pack-d'
	expect 1 $? && expect "" "$(cat "$work/log")" && expect_match 'apt-get install pack-a' "$(cat "$work/err")" &&
		expect_match 'dnf install pack-d' "$(cat "$work/err")"
}
check "without the right to install it says what to install" not_root
with_sudo() {
	reset
	user 1000
	fake sudo
	fake apt-get
	ask 'need_tool nosuchtool pack-a' && expect_match 'sudo -n env .*apt-get install .*pack-a' "$(cat "$work/log")"
}
check "sudo is used where it does not ask" with_sudo
old_lists() {
	reset
	fake apt-get 1
	ask 'need_tool nosuchtool pack-a'
	expect 1 $? && expect_match 'apt-get update' "$(cat "$work/log")" &&
		expect_match 'Please install' "$(cat "$work/err")"
}
check "old package lists are renewed, and failure is told" old_lists
optional() {
	reset
	fake apt-get 1
	ask 'want_tool nosuchtool pack-w' && expect_match 'Going on without pack-w' "$(cat "$work/err")"
}
check "what is optional stops nothing" optional
finish
