#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Is every C file laid out as .clang-format says? Names those that are not. usage: format.sh ROOT
#
# Versions of clang-format disagree; the one of Debian 12 is the judge, others are not asked.
set -u
cd "$1" || exit 1
judge=$(command -v clang-format-14 || command -v clang-format) || exit 77
"$judge" --version | grep -q 'version 14\.' || exit 77
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 77

status=0
while IFS= read -r -d '' file; do
	# A file may be gone from the folder and not yet from the index.
	[ -f "$file" ] || continue
	"$judge" "$file" | cmp -s - "$file" || {
		echo "clang-format -i $file"
		status=1
	}
done < <(git ls-files -z '*.c' '*.h')
exit $status
