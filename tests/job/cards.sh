#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cards.sh PROGRAM...: a rank on a host with two cards (hosts.sh -s 2): it ends well, and both cards carried large messages.
set -u
"$@" || exit
for card in 0 1; do
	bytes=$(cat /sys/class/net/eth$card/statistics/tx_bytes 2>/dev/null) || exit 77
	echo "host $HOSTS_HOST sent $((bytes / 1000000)) MB by card $card"
	((bytes > 2000000)) || { echo "cards.sh: card $card of host $HOSTS_HOST was hardly used" >&2; exit 1; }
done
