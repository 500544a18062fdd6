#!/bin/bash
# Run a machine, and run it again when its guest asks for a reboot. Leaves "PID START BOOT" in ./supervisor.
# usage: loop.sh MACHINE BRIDGE   as root, from the host's directory, with the disk mounted, in the machine's group
set -euo pipefail

machine=$1 bridge=$2
# shellcheck source=cgroup.sh
source "$(dirname -- "$(realpath -- "$0")")/cgroup.sh"

read -r stat </proc/$$/stat
read -r -a fields <<<"${stat##*) }"
read -r boot_id </proc/sys/kernel/random/boot_id
# The 22nd field of proc(5): start time. With it and the boot a process id cannot be taken for another's.
echo "$$ ${fields[19]} $boot_id" >supervisor.new
mv -T supervisor.new supervisor

# nspawn looks for the guest's systemd with a glob, and takes it for an ancient one where the path holds a "[" or "\".
[[ ! -e /sys/fs/cgroup/cgroup.controllers ]] || export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1

for ((boot = 1; ; boot++)); do
    status=0
    (
        # Beside "loop", not above it: cgroup v2 allows no processes in a group that passes controllers on.
        join_group "$machine/boot$boot"
        exec systemd-nspawn --quiet --settings=no --directory=disk/root --machine="$machine" \
            --hostname="$(<seed/hostname)" --register=no --keep-unit --boot \
            --network-veth --network-bridge="$bridge" --link-journal=no --console=pipe \
            --resolv-conf=off --timezone=off
    ) || status=$?
    drop_group "$machine/boot$boot" || true # what is left goes with the machine
    # 133: the guest rebooted. Without a unit of its own nspawn leaves that to its caller.
    ((status == 133)) || exit "$status"
done
