#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ranks find each other under every launcher, real where it is installed, imitated where only variables count.
# usage: launchers.sh LAUNCHED TUTTI [PMIX_PLUGIN]
set -u
launched=$1
tutti=$2
plugin=${3:-}
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/../cli/tap.sh"

# skip NAME REASON
skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# Nothing of the launcher or the shell in which this test runs may reach the ranks.
clean=(env -i "PATH=$PATH" "HOME=$work" "TMPDIR=$work" "LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}"
	"ASAN_OPTIONS=${ASAN_OPTIONS:-}" "UBSAN_OPTIONS=${UBSAN_OPTIONS:-}" "MARK=$MARK" "TUTTI_TIMEOUT_MS=30000"
	"LSAN_OPTIONS=suppressions=$work/leaks:print_suppressions=0")
echo "leak:libpmix.so" >"$work/leaks" # what PMIx keeps is not ours to free
limit=(timeout -k 5 60)
job=$MARK
master=$("$launched" port)
umask 077
head -c 32 /dev/urandom >"$work/secret"
head -c 32 /dev/urandom >"$work/other-secret"

# sums N: what N ranks say when all is well.
sums() {
	local rank
	for ((rank = 0; rank < $1; rank++)); do
		echo "rank $rank of $1: sum $(($1 * ($1 + 1) / 2))"
	done
}

# start N VARIABLES [ARGUMENTS...]: N ranks; VARIABLES is a function of rank and size that prints NAME=value words.
start() {
	local n=$1 variables=$2 rank words pids=() status=0
	shift 2
	for ((rank = 0; rank < n; rank++)); do
		read -ra words < <("$variables" "$rank" "$n" | tr '\n' ' ')
		"${limit[@]}" "${clean[@]}" "${words[@]}" "$launched" "$@" >"$work/rank.$rank" 2>&1 &
		pids+=($!)
	done
	for rank in "${!pids[@]}"; do
		wait "${pids[rank]}" || status=$?
	done
	for ((rank = 0; rank < n; rank++)); do
		cat "$work/rank.$rank"
	done
	return $status
}

# meets N VARIABLES [ARGUMENTS...]: they all find each other, and nobody complains.
meets() {
	local got status
	got=$(start "$@")
	status=$?
	expect "$(sums "$1")" "$got" && expect 0 $status
}

# misses PATTERN N VARIABLES: every rank gives up, with such a message.
misses() {
	local pattern=$1 got rank
	shift
	got=$(start "$@")
	echo "$got"
	! grep -q 'sum' <<<"$got" || return 1
	for ((rank = 0; rank < $1; rank++)); do
		expect_match "$pattern" "$(cat "$work/rank.$rank")" || return 1
	done
}

# under COMMAND...: a real launcher with three ranks, three communicators each, of which one leaves late.
under() {
	local status
	"${limit[@]}" "${clean[@]}" "$@" "$launched" 3 300 >"$work/all" 2>&1
	status=$?
	expect "$(sums 3)
rank 1 lingered" "$(grep -v lingered "$work/all" | sort && grep lingered "$work/all")" && expect 0 $status
}

# ---- imitated

alone() { :; }
check "without a launcher a process is alone" meets 1 alone

batch_shell() { echo SLURM_JOB_ID=77 SLURM_PROCID=0 SLURM_NTASKS=6 SLURM_NODEID=0 SLURM_NNODES=3; }
check "the shell of a Slurm batch job is alone" meets 1 batch_shell

half() { echo TUTTI_RANK=0; }
check "half a set of variables is an error that names the other half" misses 'TUTTI_SIZE is not set' 1 half

by_hand() { echo "TUTTI_RANK=$1 TUTTI_SIZE=$2 TUTTI_JOB=$job"; }
check "ranks started by hand on one machine meet" meets 3 by_hand
check "several communicators made at once do not get in each other's way" meets 3 by_hand 4

root=127.0.0.1
by_root() { echo "TUTTI_RANK=$1 TUTTI_SIZE=$2 TUTTI_JOB=$job TUTTI_ROOT=$root:$master TUTTI_SECRET_FILE=$work/secret"; }
check "ranks with a root and a secret meet" meets 3 by_root
check "several communicators at one root meet" meets 3 by_root 3
over_tcp() { echo "$(by_root "$@") TUTTI_TRANSPORTS=tcp"; }
check "they meet over TCP alone" meets 3 over_tcp
root=localhost
check "a root may be a name" meets 3 by_root
if [ -e /proc/net/if_inet6 ] && grep -q '^0*1 ' /proc/net/if_inet6; then
	root='[::1]'
	check "a root may be an IPv6 address" meets 3 by_root
else
	skip "a root may be an IPv6 address" "no IPv6 here"
fi
root=127.0.0.1

wrong_secret() {
	by_root "$@"
	echo TUTTI_TIMEOUT_MS=1500
	[ "$1" = 0 ] || echo "TUTTI_SECRET_FILE=$work/other-secret"
}
check "ranks with different secrets never meet" misses 'TUTTI_ERR_(TIMEOUT|AUTH)' 2 wrong_secret
open_secret() {
	by_root "$@"
	echo "TUTTI_SECRET_FILE=$work/open-secret"
}
head -c 32 /dev/urandom >"$work/open-secret"
chmod 644 "$work/open-secret"
check "a secret that others can read is refused" misses 'chmod 600' 2 open_secret

restart=0
torchrun() {
	echo "RANK=$1 WORLD_SIZE=$2 LOCAL_RANK=$1 LOCAL_WORLD_SIZE=$2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$master" \
		"TORCHELASTIC_RUN_ID=$job TORCHELASTIC_RESTART_COUNT=$restart"
}
check "torchrun's ranks on one machine meet" meets 3 torchrun
torchrun_hosts() { echo "$(torchrun "$@") LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 TUTTI_SECRET_FILE=$work/secret"; }
check "torchrun's ranks on several machines meet" meets 3 torchrun_hosts

# torchrun's own store has the port, and answers nobody who does not speak its protocol.
beside_a_store() {
	local status
	coproc STORE { "$launched" hold "$master"; }
	read -r -u "${STORE[0]}" _
	meets 3 torchrun_hosts 2
	status=$?
	eval "exec ${STORE[1]}>&-"
	wait "$STORE_PID"
	return $status
}
check "MASTER_PORT may belong to the launcher's own store" beside_a_store

insecure() { echo "$(torchrun "$@") LOCAL_RANK=0 LOCAL_WORLD_SIZE=1"; }
warns_once() {
	local got
	got=$(start 3 insecure 3)
	expect 1 "$(grep -c 'share no secret' <<<"$got")" && expect "$(sums 3)" "$(grep '^rank' <<<"$got")"
}
check "ranks without a secret meet, and rank 0 warns once" warns_once

restarted() {
	restart=$1 torchrun_hosts "$@"
	echo TUTTI_TIMEOUT_MS=1500
}
check "a rank of an earlier incarnation is not let in" misses 'TUTTI_ERR_(TIMEOUT|AUTH)' 2 restarted

two_jobs() {
	local status=0
	(
		job=$job-b
		mkdir "$work/b"
		cp "$work/secret" "$work/b"
		work=$work/b
		meets 3 torchrun_hosts 2
	) &
	meets 3 torchrun_hosts 2 || status=1
	wait $! || status=1
	return $status
}
check "two jobs with one MASTER_PORT do not mix" two_jobs

plain() { echo "RANK=$1 WORLD_SIZE=$2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$master TUTTI_SECRET_FILE=$work/secret"; }
check "bare RANK and WORLD_SIZE meet" meets 3 plain

pods() { echo "JOB_COMPLETION_INDEX=$1 TUTTI_SIZE=$2 TUTTI_ROOT=localhost:$master TUTTI_SECRET_FILE=$work/secret"; }
check "the pods of an indexed job meet" meets 3 pods

hosts='127.0.0.1'
slurm() {
	echo "SLURM_JOB_ID=$$ SLURM_STEP_ID=0 SLURM_PROCID=$1 SLURM_NTASKS=$2 SLURM_STEP_NUM_TASKS=$2 SLURM_LOCALID=0" \
		"SLURM_STEP_NODELIST=$hosts SLURM_NODEID=0"
}
check "the tasks of a Slurm step on one node meet" meets 3 slurm
hosts='127.0.0.[1-3]'
slurm_nodes() { echo "$(slurm "$@") TUTTI_SECRET_FILE=$work/secret"; }
check "the tasks of a Slurm step on several nodes meet" meets 3 slurm_nodes

# ---- real

if [ -x "$tutti" ]; then
	check "tutti run" under "$tutti" run -n 3 --no-prefix
else
	skip "tutti run" "the program is not built"
fi

if command -v mpiexec.hydra >/dev/null; then
	check "mpiexec.hydra (PMI-1)" under mpiexec.hydra -n 3
	check "mpiexec.hydra in a Slurm batch job" under env SLURM_PROCID=0 SLURM_NTASKS=6 SLURM_NODEID=0 \
		mpiexec.hydra -launcher fork -rmk user -n 3
else
	skip "mpiexec.hydra (PMI-1)" "not installed"
	skip "mpiexec.hydra in a Slurm batch job" "not installed"
fi

if command -v mpirun.openmpi >/dev/null; then
	openmpi=(mpirun.openmpi --oversubscribe -n 3)
	[ "$(id -u)" != 0 ] || openmpi+=(--allow-run-as-root)
	check "mpirun of Open MPI" under "${openmpi[@]}"
	check "mpirun of Open MPI without PMIx" under "${openmpi[@]}" env -u PMIX_NAMESPACE
	if [ -n "$plugin" ]; then
		check "mpirun of Open MPI as if on several machines" under "${openmpi[@]}" \
			env OMPI_COMM_WORLD_LOCAL_SIZE=1 OMPI_COMM_WORLD_LOCAL_RANK=0
		check "a PMIx server alone" under "${openmpi[@]}" env -u OMPI_COMM_WORLD_RANK -u OMPI_COMM_WORLD_SIZE
	else
		skip "mpirun of Open MPI as if on several machines" "built without PMIx"
		skip "a PMIx server alone" "built without PMIx"
	fi
else
	for name in "mpirun of Open MPI" "mpirun of Open MPI without PMIx" \
		"mpirun of Open MPI as if on several machines" "a PMIx server alone"; do
		skip "$name" "not installed"
	done
fi

finish
