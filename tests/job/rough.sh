#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A job behind the proxy. A network that is only slow and strange changes no result; one that fails gives exact results
# or an error in time.
#
#	rough.sh PROXY ROUGH TUTTI SEEDS
set -u
proxy=$1 rough=$2 tutti=$3 seeds=$4
export TUTTI_TRANSPORTS=tcp TUTTI_INTERFACES=lo TUTTI_TIMEOUT_MS=8000
bad=0 number=0

check() { # NAME CONNECTIONS MODE [ROUGH'S ARGUMENT...]
	local name=$1 connections=$2 mode=$3 log
	shift 3
	number=$((number + 1))
	if log=$(TUTTI_CONNECTIONS=$connections timeout 90 "$proxy" -s "$seed" -m "$mode" -- "$tutti" run -n 3 "$rough" "$@" 2>&1); then
		echo "ok $number - $name, seed $seed"
	else
		echo "not ok $number - $name, seed $seed: status $?"
		sed 's/^/# /' <<<"$log"
		bad=1
	fi
}

echo "1..$((seeds * 5))"
for ((seed = 1; seed <= seeds; seed++)); do
	check 'delayed, split and reordered: exact' $((seed % 4 + 1)) delay,split,reorder -n 8
	check 'reordered: exact' 4 reorder
	check 'cut: exact or an error in time' $((seed % 3 + 1)) cut,reorder -e
	check 'reset: exact or an error in time' $((seed % 4 + 1)) reset -e
	check 'stalled: exact or an error in time' $((seed % 3 + 1)) stall -e
done
exit $bad
