#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The library exports what src/tutti.exports lists, and the public header declares the same. usage: exports.sh ROOT LIBRARY
set -u
root=$1
library=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -v '^#' "$root/src/tutti.exports" | sort >"$work/listed"
nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
# A declaration begins with TUTTI_API; its name stands before the first bracket.
sed -n 's/^TUTTI_API .*[ *]\(tutti_[a-z_0-9]*\)(.*/\1/p' "$root/include/tutti/tutti.h" | sort >"$work/declared"

status=0
diff "$work/listed" "$work/exported" >"$work/diff" || {
	echo "src/tutti.exports (<) and the library (>) differ:"
	cat "$work/diff"
	status=1
}
diff "$work/listed" "$work/declared" >"$work/diff" || {
	echo "src/tutti.exports (<) and include/tutti/tutti.h (>) differ:"
	cat "$work/diff"
	status=1
}
exit $status
