#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A job on unlike hosts: one has a core for its two ranks, the other has all there are; one has a network card near one of
# two packages, and hosts that are not one machine do not share cores. usage: unlike.sh HOSTS EXACT
#
# Inputs of a decision are agreed and compared at creation, so that it is enough that the job is created and right.
set -u
hosts=$1
exact=$2

# shellcheck disable=SC2016 # each rank's own
exec bash "$hosts" -n 2 -g 2 -t 140 -- bash -c '
	echo "unlike-host-$HOSTS_HOST" >"/dev/shm/boot.$$" || exit 77
	mount --bind "/dev/shm/boot.$$" /proc/sys/kernel/random/boot_id 2>/dev/null || exit 77
	if [ "$HOSTS_HOST" = 0 ]; then
		taskset -cp "$(taskset -cp $$ | sed "s/.*: //; s/[,-].*//")" $$ >/dev/null || exit 77
	else
		export TUTTI_TOPOLOGY="pack:2 [numa] core:4 pu:1"
	fi
	exec "$0" --env --sample 60' "$exact"
