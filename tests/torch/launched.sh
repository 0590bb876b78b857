#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Under launchers: torchrun, on this machine and on two make-believe hosts, and ranks started by hand.
# usage: launched.sh ROOT PYTHON DIGITS
set -u
root=$1 python=$2 digits=$3
# shellcheck source=tests/cli/tap.sh
. "$root/tests/cli/tap.sh"
export OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME='' USE_LIBUV=0
program=$root/tests/torch/launched.py
# The default of -r and -t stops PyTorch 1.13 under Python 3.11.
torchrun=("$python" -m torch.distributed.run -r 1 -t 1)

# skip NAME WHY
skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# well RANKS: what the ranks printed is in $work/out.
well() {
	grep -q "$1 ranks, the same bits" "$work/out" || {
		tail -n 40 "$work/out"
		return 1
	}
}

one_machine() {
	timeout 80 "${torchrun[@]}" --standalone --nproc_per_node 3 "$program" "$digits" >"$work/out" 2>&1
	well 3
}
check "torchrun on one machine" one_machine

hosts() {
	bash "$root/tests/job/hosts.sh" -t 80 "$@" >"$work/out" 2>&1
	status=$?
}
hosts true
if [ "$status" = 77 ]; then
	skip "torchrun on two hosts" "$(cat "$work/out")"
	skip "ranks started by hand on two hosts" "$(cat "$work/out")"
else
	# shellcheck disable=SC2016
	two_machines() {
		hosts -n 2 -g 1 -- bash -c 'exec "$@" --nnodes 2 --node_rank "$HOSTS_HOST" --master_addr 10.213.0.1 \
			--master_port 29511 --nproc_per_node 2 '"'$program' '$digits'" - "${torchrun[@]}"
		well 4
	}
	check "torchrun on two hosts of two ranks" two_machines
	# shellcheck disable=SC2016
	by_hand() {
		hosts -n 2 -g 2 -- bash -c 'export RANK=$TUTTI_RANK WORLD_SIZE=$TUTTI_SIZE MASTER_ADDR=10.213.0.1 MASTER_PORT=29512
			exec "$@"' - "$python" "$program" "$digits"
		well 4
	}
	check "ranks started by hand on two hosts of two ranks" by_hand
fi
finish
