#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# rdma.sh - runs a program on one or two emulated machines that have an RDMA card.
#
# The card is soft-RoCE (rdma_rxe) of Debian's own kernel, which QEMU runs without KVM and without root: real verbs, with
# their ways of registering memory and their limits, at a snail's pace. The machine sees this machine's files, read-only;
# it may write to $TMPDIR and /dev/shm. Two machines are joined by a wire.
#
# The machine is up in about ten seconds. Its kernel is a package that is fetched once and only unpacked.
set -u

usage() {
	cat <<'TEXT'
usage: rdma.sh [options] [--] PROGRAM [ARGUMENT...]
  -n MACHINES  one or two (1); the program runs once on each
  -c CPUS      of each (2)
  -m MIB       memory of each (1536)
  -t SECONDS   end everything after that, with status 124 (300)
The program sees TUTTI_RANK, TUTTI_SIZE, TUTTI_ROOT, TUTTI_SECRET_FILE and TUTTI_INTERFACES as on a cluster with a rank
on each machine, and FI_UNIVERSE_SIZE, which libfabric needs for so small a card. Machine H is called rdmaH and has the
address 10.214.0.(H+1).
RDMA_CACHE is where the kernel is kept (~/.cache/tutti-rdma). RDMA_FETCH=0: it is not fetched if it is not there.
Status: that of the first machine that failed, else 0; 77 if something that is needed is not here.
TEXT
}

skip() {
	echo "rdma.sh: skipped: $1" >&2
	exit 77
}

fail() {
	echo "rdma.sh: $1" >&2
	exit 2
}

machines=1 cpus=2 memory=1536 limit=300
while getopts n:c:m:t:h option; do
	case $option in
	n) machines=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	t) limit=$OPTARG ;;
	h) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { usage >&2 && exit 2; }
[[ $machines = [12] && $cpus =~ ^[0-9]+$ && $memory =~ ^[0-9]+$ && $limit =~ ^[0-9]+$ ]] ||
	fail "-n takes 1 or 2, -c, -m and -t take numbers"
PATH=$PATH:/usr/sbin:/sbin
[ "$(uname -m)" = x86_64 ] || skip "the emulated machine is an x86_64, this one is not"
for tool in qemu-system-x86_64 busybox cpio modprobe depmod rdma; do
	command -v $tool >/dev/null || skip "$tool is not installed (qemu-system-x86 busybox-static cpio kmod iproute2)"
done
compgen -G '/usr/lib/*/libibverbs/librxe-rdmav*.so' >/dev/null || skip "ibverbs-providers is not installed"

# ---- the kernel and the first files, once ----------------------------------------------------------------------------

cache=${RDMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tutti-rdma}
mkdir -p "$cache" || fail "cannot write to $cache"

fetch_kernel() {
	local package new=$cache/new.$$
	[ "${RDMA_FETCH:-1}" = 1 ] || skip "there is no kernel in $cache"
	command -v apt-get >/dev/null || skip "there is no kernel in $cache, and no apt-get to fetch it with"
	package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	mkdir "$new" && cd "$new" && apt-get -q download "${package:-linux-image-amd64}" >log 2>&1 && dpkg -x ./*.deb kernel &&
		depmod -b kernel "$(basename kernel/lib/modules/*)" 2>>log && rm ./*.deb
	# Whoever comes first puts it there.
	[ -d "$new/kernel/boot" ] && mv -T "$new/kernel" "$cache/kernel" 2>/dev/null
	rm -rf "$new"
	[ -d "$cache/kernel/boot" ] || skip "the kernel (linux-image-amd64) cannot be fetched"
}

# What process 1 of the machine does. /job says who it is and what to run.
first_process() {
	cat <<'TEXT'
#!/bin/busybox sh
b=/bin/busybox
for it in "proc proc" "sysfs sys" "devtmpfs dev"; do $b mount -t ${it% *} ${it% *} /${it#* }; done
for module in /modules/*; do $b insmod $module || echo "rdma.sh: $module cannot be loaded"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 files /root || echo "rdma.sh: no files"
for it in proc sys dev; do $b mount -o bind /$it /root/$it; done
$b mkdir -p /dev/shm
for it in dev/shm run; do $b mount -t tmpfs -o mode=1777 none /root/$it; done
. /job
for card in lo eth0; do $b ip link set $card up; done
$b ip addr add $ADDRESS/24 dev eth0
$b hostname rdma$TUTTI_RANK
(umask 077 && echo $SECRET >/root/run/secret)
$b chroot /root /bin/bash -c "rdma link add rxe0 type rxe netdev eth0 && cd $FOLDER && $JOB"
echo "rdma.sh-status $?"
$b poweroff -f
TEXT
}

make_files() {
	local root=$cache/root.$$ version module at=10
	version=$(basename "$cache"/kernel/lib/modules/*)
	mkdir -p "$root"/{bin,proc,sys,dev,root,modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for module in virtio_pci virtio_net 9pnet_virtio 9p crc32_generic ib_uverbs rdma_ucm rdma_rxe; do
		modprobe -d "$cache/kernel" -S "$version" --show-depends $module 2>/dev/null | sed -n 's/^insmod //p'
	done | awk '!seen[$1]++ { print $1 }' >"$root/list"
	while read -r module; do
		cp "$module" "$root/modules/$((at++))-${module##*/}"
	done <"$root/list"
	first_process >"$root/init"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$cache/files.$$" && mv "$cache/files.$$" "$cache/files"
	rm -rf "$root"
}

[ -d "$cache/kernel/boot" ] || (fetch_kernel) || exit $?
[ "$cache/files" -nt "$0" ] || make_files || fail "cannot make the machine's first files"
kernel=$(echo "$cache"/kernel/boot/vmlinuz-*)

# ---- the machines ----------------------------------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/rdma.XXXXXX") || fail "no folder to work in"
declare -a pids=()
# shellcheck disable=SC2329,SC2317
clean_up() {
	((${#pids[@]})) && kill "${pids[@]}" 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT
secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
job=$(printf '%q ' "$@")

describe() { # MACHINE
	echo "export TUTTI_RANK=$1 TUTTI_SIZE=$machines TUTTI_LOCAL_RANK=0 TUTTI_LOCAL_SIZE=1 TUTTI_ROOT=10.214.0.1:5432"
	echo "export TUTTI_SECRET_FILE=/run/secret TUTTI_INTERFACES=eth0 FI_UNIVERSE_SIZE=16 HOME=/run TMPDIR=/run"
	echo "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	env | grep -E '^(TUTTI_(TRANSPORTS|FABRIC_PROVIDER|LOG|TIMEOUT_MS|ALGORITHM|PLUGINS)|FI_LOG_LEVEL)=' |
		while IFS= read -r line; do printf 'export %s=%q\n' "${line%%=*}" "${line#*=}"; done
	printf 'ADDRESS=10.214.0.%d\nSECRET=%s\nFOLDER=%q\nJOB=%q\n' $(($1 + 1)) "$secret" "$PWD" "$job"
}

start() { # MACHINE
	local at=$work/$1 net=user,id=net,restrict=y
	mkdir "$at"
	describe "$1" >"$at/job"
	# A second archive behind the first: the kernel unpacks both.
	(cd "$at" && echo job | cpio --quiet -o -H newc | gzip -1 | cat "$cache/files" - >files)
	if [ "$machines" = 2 ]; then
		net=stream,id=net,server=off,addr.type=unix,addr.path=$work/wire
		[ "$1" = 1 ] || net=${net/server=off/server=on}
	fi
	timeout -k 2 "$limit" qemu-system-x86_64 -accel tcg,thread=multi -m "$memory" -smp "$cpus" -nodefaults -display none \
		-no-reboot -serial stdio -kernel "$kernel" -initrd "$at/files" -append 'console=ttyS0 quiet panic=-1' \
		-fsdev local,id=files,path=/,security_model=none,readonly=on,multidevs=remap \
		-device virtio-9p-pci,fsdev=files,mount_tag=files -netdev "$net" \
		-device "virtio-net-pci,netdev=net,mac=52:54:00:d6:00:0$1,romfile=" </dev/null >"$at/out" 2>&1 &
	pids[$1]=$!
}

for ((machine = 0; machine < machines; machine++)); do
	if [ "$machine" = 1 ]; then
		for ((wait = 0; wait < 100; wait++)); do [ ! -S "$work/wire" ] || break; sleep 0.1; done
	fi
	start "$machine"
done
first=0
for ((machine = 0; machine < machines; machine++)); do
	wait "${pids[machine]}"
	ended=$?
	tr -d '\r' <"$work/$machine/out" | grep -av '^rdma.sh-status\|reboot: Power down' |
		if [ "$machines" = 2 ]; then sed "s/^/[$machine] /"; else cat; fi
	status=$(tr -d '\r' <"$work/$machine/out" | sed -n 's/^rdma.sh-status //p' | tail -n 1)
	[ -n "$status" ] || { [ $ended = 124 ] && echo "rdma.sh: $limit s have passed" >&2; status=124; }
	[ "$first" != 0 ] || first=$status
done
pids=()
exit "$first"
