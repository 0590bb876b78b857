#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cut.sh HOSTS CUT: runs CUT on two hosts with two cards, and cuts one connection when it says so.
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/cut.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
bash "$1" -n 2 -s 2 -r 1gbit,1gbit -t 110 -a -q "1:1:$work/now" -- "$2" "$work/now"
