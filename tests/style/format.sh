#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Is every C file laid out as .clang-format says? Names those that are not. usage: format.sh ROOT
#
# The public headers are laid out by hand: they are read as documentation, in columns.
# Versions of clang-format disagree; the one of Debian 12 is the judge, others are not asked.
set -u
cd "$1" || exit 1
judge=$(command -v clang-format-14 || command -v clang-format) || exit 77
"$judge" --version | grep -q 'version 14\.' || exit 77
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 77

wrong=$(git ls-files -z '*.c' '*.h' ':!include' | while IFS= read -r -d '' file; do
	# A file may be gone from the folder and not yet from the index.
	[ -f "$file" ] && printf '%s\0' "$file"
done | xargs -0 "$judge" --dry-run -Werror 2>&1 | sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: .*/clang-format -i \1/p' | sort -u)
[ -z "$wrong" ] || {
	echo "$wrong"
	exit 1
}
