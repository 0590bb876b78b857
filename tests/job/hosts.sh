#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hosts.sh - runs a job on several hosts that are all this machine.
#
# A host is a set of namespaces: network (a card, eth0, on a switch that joins all hosts; more on request), mounts (a /dev/shm and
# /proc of its own), host name, IPC and processes. Ranks of one host share memory; ranks of two hosts have nothing but
# the network: no shared memory, no signals, no abstract sockets.
#
# Three levels: this script; the inside, process 1 of a private world where the switch lives; a host, process 1 of its
# own. Each kills the one below when it dies, so that nothing is left however it ends.
# shellcheck disable=SC2015
set -u

usage() {
	cat <<'TEXT'
usage: hosts.sh [options] [--] PROGRAM [ARGUMENT...]
  -n HOSTS    how many hosts (2)
  -g RANKS,.. ranks on each (1): the second host has the second number, and so on, the last one for all that are left
  -s CARDS    how many cards each host has, each on a switch of its own (1)
  -r RATE,... every card sends at most RATE, in tc's units: 1gbit, 200mbit; the second card the second RATE, and so on,
              the last one for all that are left
  -t SECONDS  end everything after that, with status 124
  -k H:S      kill host H after S seconds; its status does not count (may be repeated)
  -c H:S      cut the cable of host H after S seconds (may be repeated)
  -q H:C:FILE let the switch lose all that host H sends and gets by its card C, from when FILE is there: quietly, the card
              sees nothing of it (may be repeated)
  -6          IPv6 only: card ethC of host H has the address fd00:213:C::(H+1), and a link-local one
  -a          wait for all ranks when one fails, instead of ending the others
  -l          begin each line of output with [host.rank]
  -p          host H runs on core H only, of those that are here (modulo their number)
  -m          hosts say that they are machines of their own (each has its own boot id): prices are those of a network
The ranks see TUTTI_RANK, TUTTI_SIZE, TUTTI_LOCAL_RANK, TUTTI_LOCAL_SIZE, TUTTI_ROOT, TUTTI_SECRET_FILE and
HOSTS_HOST, the number of their host. Host H is called hostH; its card ethC has the address 10.213.C.(H+1) (without -6).
Status: the first failing rank's, else 0; 77 if namespaces are not permitted here.
TEXT
}

fail() {
	echo "hosts.sh: $1" >&2
	exit "${2:-2}"
}

# Waits until one of these children has ended: its number comes in `who`, its status in `status`.
next_end() { # PID...
	wait -n -p who "$@"
	status=$?
	[ -z "${who-}" ] || return
	# Of two that end at once bash tells one only; the other's status it knows if it is asked for.
	for who; do
		kill -0 "$who" 2>/dev/null || { wait "$who" && status=0 || status=$?; return; }
	done
	who=
}

# ---- this script -----------------------------------------------------------------------------------------------------

outside() {
	export HOSTS_N=2 HOSTS_G=1 HOSTS_RATE='' HOSTS_LIMIT='' HOSTS_KILL='' HOSTS_CUT='' HOSTS_ALL='' HOSTS_LABEL='' HOSTS_CARDS=1 HOSTS_PIN='' HOSTS_QUIET='' HOSTS_IPV6='' HOSTS_MACHINES=''
	local option inside as_root=()

	while getopts n:g:s:r:t:k:c:q:almph6 option; do
		case $option in
		n) HOSTS_N=$OPTARG ;;
		g) HOSTS_G=$OPTARG ;;
		s) HOSTS_CARDS=$OPTARG ;;
		r) HOSTS_RATE=$OPTARG ;;
		t) HOSTS_LIMIT=$OPTARG ;;
		k) HOSTS_KILL+=" $OPTARG" ;;
		c) HOSTS_CUT+=" $OPTARG" ;;
		a) HOSTS_ALL=1 ;;
		l) HOSTS_LABEL=1 ;;
		m) HOSTS_MACHINES=1 ;;
		p) HOSTS_PIN=1 ;;
		q) HOSTS_QUIET+=" $OPTARG" ;;
		6) HOSTS_IPV6=1 ;;
		h) usage && exit 0 ;;
		*) usage >&2 && exit 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	[ $# -gt 0 ] || { usage >&2 && exit 2; }
	[[ $HOSTS_N =~ ^[0-9]+$ && $HOSTS_G =~ ^[1-9][0-9]*(,[1-9][0-9]*)*$ ]] && ((HOSTS_N >= 1 && HOSTS_N <= 200)) ||
		fail "-n takes 1 to 200 hosts, -g at least one rank"
	[[ $HOSTS_CARDS =~ ^[1-8]$ ]] || fail "-s takes 1 to 8 cards"
	for option in unshare setpriv ip tc; do
		command -v $option >/dev/null || fail "skipped: $option is not installed" 77
	done
	[ "$(id -u)" = 0 ] || as_root=(unshare --map-root-user --)
	"${as_root[@]}" unshare --mount --net --uts --ipc --pid --fork --mount-proc true 2>/dev/null ||
		fail "skipped: namespaces are not permitted here" 77

	HOSTS_SECRET=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
	export HOSTS_SECRET
	"${as_root[@]}" setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child=KILL --mount-proc \
		bash "$0" --inside "$@" <&0 &
	inside=$!
	trap 'kill -KILL $inside 2>/dev/null; exit 130' INT
	trap 'kill -KILL $inside 2>/dev/null; exit 143' TERM HUP
	wait $inside
}

# ---- the inside ------------------------------------------------------------------------------------------------------

shape() { # DEVICE CARD
	local rates rate
	IFS=, read -r -a rates <<<"$HOSTS_RATE"
	[ ${#rates[@]} -gt 0 ] || return 0
	rate=${rates[$2]-${rates[-1]}}
	tc qdisc add dev "$1" root tbf rate "$rate" burst 256kb latency 50ms || fail "cannot shape $1 to $rate"
}

# A host tells over $2 that its namespaces are there, and waits on $3 for its card.
start_host() { # HOST TOLD GO PROGRAM...
	local host=$1 told=$2 go=$3
	shift 3
	unshare --net --mount --uts --ipc --pid --fork --kill-child=KILL --mount-proc \
		bash "$0" --host "$host" "$told" "$go" "$@" <&0 &
	pid_of[host]=$!
}

plug_in() { # HOST
	local card
	for ((card = 0; card < HOSTS_CARDS; card++)); do
		ip link add "port$1.$card" type veth peer name "eth$card" netns "${pid_of[$1]}" &&
			ip link set "port$1.$card" master "switch$card" up || fail "no card for host $1"
		shape "port$1.$card" "$card"
	done
}

later() { # H:S... COMMAND: runs it with H after S seconds
	local when=$1 host
	shift
	for host in $when; do
		(sleep "${host#*:}" && "$@" "${host%%:*}") &
	done
}

cut_host() {
	local card
	for ((card = 0; card < HOSTS_CARDS; card++)); do ip link set "port$1.$card" down; done
}
# A port that belongs to no switch takes everything and does nothing with it.
lose_when() { # H:C:FILE
	local host=${1%%:*} rest=${1#*:}
	until [ -e "${rest#*:}" ]; do sleep 0.2; done
	ip link set "port$host.${rest%%:*}" nomaster
}
kill_host() { kill -KILL "${pid_of[$1]}"; }

inside() {
	local work=/dev/shm host card status first=0 who
	declare -a pid_of=()

	trap 'echo "hosts.sh: $HOSTS_LIMIT s have passed" >&2; exit 124' USR1
	mount -t tmpfs -o mode=755 inside $work && mkfifo $work/told || fail "no memory file system of its own"
	for ((card = 0; card < HOSTS_CARDS; card++)); do
		ip link add "switch$card" type bridge stp_state 0 && ip link set "switch$card" up || fail "no switch (bridge)"
	done
	exec {told}<>$work/told
	for ((host = 0; host < HOSTS_N; host++)); do
		mkfifo "$work/go.$host"
		start_host "$host" $work/told "$work/go.$host" "$@"
	done
	for ((host = 0; host < HOSTS_N; host++)); do
		read -r -t 30 -u "$told" _ || fail "a host did not start"
	done
	for ((host = 0; host < HOSTS_N; host++)); do
		plug_in "$host"
	done
	for ((host = 0; host < HOSTS_N; host++)); do
		echo go >"$work/go.$host"
	done
	[ -z "$HOSTS_LIMIT" ] || (sleep "$HOSTS_LIMIT" && kill -USR1 1) &
	later "$HOSTS_KILL" kill_host
	later "$HOSTS_CUT" cut_host
	for who in $HOSTS_QUIET; do lose_when "$who" & done

	while [ ${#pid_of[@]} -gt 0 ]; do
		next_end "${pid_of[@]}"
		[ -n "$who" ] || continue
		for host in "${!pid_of[@]}"; do
			[ "${pid_of[host]}" = "$who" ] && unset "pid_of[host]" && break
		done
		[[ " $HOSTS_KILL" == *" $host:"* ]] && continue
		[ "$status" = 0 ] || [ $first != 0 ] || first=$status
		[ "$status" = 0 ] || [ -n "$HOSTS_ALL" ] || break
	done
	exit $first
}

# ---- a host ------------------------------------------------------------------------------------------------------------

pin() { # the shell and all that it starts
	local cores=() range core
	for range in $(taskset -pc $$ | sed 's/.*: //; s/,/ /g'); do
		for ((core = ${range%-*}; core <= ${range#*-}; core++)); do cores+=("$core"); done
	done
	taskset -pc "${cores[HOSTS_HOST % ${#cores[@]}]}" $$ >/dev/null
}

address() { # CARD
	if [ -n "$HOSTS_IPV6" ]; then
		ip -6 addr add "fd00:213:$1::$(printf %x $((HOSTS_HOST + 1)))/64" dev "eth$1" nodad
	else
		ip addr add "10.213.$1.$((HOSTS_HOST + 1))/24" dev "eth$1"
	fi
}

be_a_machine() {
	echo "$HOSTS_HOST-${HOSTS_SECRET:0:16}" >/dev/shm/.boot && mount --bind /dev/shm/.boot /proc/sys/kernel/random/boot_id
}

run_rank() { # PROGRAM...
	if [ -n "$HOSTS_LABEL" ]; then
		set -o pipefail
		"$@" 2>&1 | sed -u "s/^/[$HOSTS_HOST.$TUTTI_RANK] /"
	else
		exec "$@"
	fi
}

# How many ranks there are (size), how many before host H's (before) and on it (here).
count_ranks() { # H
	local sizes h n
	IFS=, read -r -a sizes <<<"$HOSTS_G"
	size=0
	for ((h = 0; h < HOSTS_N; h++)); do
		n=${sizes[h < ${#sizes[@]} ? h : ${#sizes[@]} - 1]}
		[ "$h" = "$1" ] && before=$size here=$n
		size=$((size + n))
	done
}

host() { # HOST TOLD GO PROGRAM...
	local status first=0 rank card who size before here
	declare -a ranks=()
	count_ranks "$1"
	export HOSTS_HOST=$1 TUTTI_SIZE=$size TUTTI_LOCAL_SIZE=$here TUTTI_ROOT=10.213.0.1:29400
	[ -z "$HOSTS_IPV6" ] || TUTTI_ROOT='[fd00:213:0::1]:29400'
	local told=$2 go=$3
	shift 3

	echo "$HOSTS_HOST" >"$told"
	read -r _ <"$go"
	mount -t tmpfs -o mode=1777 host /dev/shm || fail "no /dev/shm for host $HOSTS_HOST"
	mount -t sysfs host /sys 2>/dev/null # its own cards; may be refused
	hostname "host$HOSTS_HOST"
	ip link set lo up || fail "no network on host $HOSTS_HOST"
	for ((card = 0; card < HOSTS_CARDS; card++)); do
		address "$card" && ip link set "eth$card" up || fail "no network on host $HOSTS_HOST"
		shape "eth$card" "$card"
	done
	[ -z "$HOSTS_MACHINES" ] || be_a_machine 2>/dev/null || fail "skipped: no boot id of its own for host $HOSTS_HOST" 77
	[ -z "$HOSTS_PIN" ] || pin || fail "host $HOSTS_HOST cannot have a core of its own"
	export TUTTI_SECRET_FILE=/dev/shm/.secret
	(umask 077 && echo "$HOSTS_SECRET" >$TUTTI_SECRET_FILE)

	for ((rank = 0; rank < here; rank++)); do
		TUTTI_LOCAL_RANK=$rank TUTTI_RANK=$((before + rank)) run_rank "$@" <&0 &
		ranks[rank]=$!
	done
	while [ ${#ranks[@]} -gt 0 ]; do
		next_end "${ranks[@]}"
		[ -n "$who" ] || continue
		for rank in "${!ranks[@]}"; do
			[ "${ranks[rank]}" = "$who" ] && unset "ranks[rank]" && break
		done
		[ "$status" = 0 ] && continue
		echo "hosts.sh: rank $((before + rank)) on host $HOSTS_HOST ended with status $status" >&2
		[ $first != 0 ] || first=$status
		[ -n "$HOSTS_ALL" ] || break
	done
	exit $first
}

case ${1-} in
--inside) shift && inside "$@" ;;
--host) shift && host "$@" ;;
*) outside "$@" ;;
esac
