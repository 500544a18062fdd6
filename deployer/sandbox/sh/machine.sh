#!/bin/bash
# Boot a host: mount its disk over the shared root file system, furnish the disk once, leave the machine running.
# usage: machine.sh DIRECTORY ROOTFS MACHINE BRIDGE   as root, in a mount namespace of its own
#
# The disk is mounted in this namespace only: it is unmounted when the machine's last process has gone, however it went.
set -euo pipefail
umask 022

directory=$1 rootfs=$2 machine=$3 bridge=$4
here=$(dirname -- "$(realpath -- "$0")")
cd -- "$directory"

# From the first moment on all of a machine is in its control group, where it is found and ended, whatever happens.
# shellcheck source=cgroup.sh
source "$here/cgroup.sh"
join_group "$machine/loop"

# Root's alone: set-uid programs inside.
install -d -m 0700 disk
mkdir -p disk/{lower,upper,work,root}

# Bound first, so that the overlay's options hold plain relative names: they know no escape that every version reads.
mount --bind -- "$rootfs" disk/lower
# index: refuses a disk that is still mounted. After a power cut the kernel takes a moment to let go of it.
for ((try = 1; ; try++)); do
    if error=$(cd disk && mount -t overlay overlay -o index=on,lowerdir=lower,upperdir=upper,workdir=work root 2>&1); then
        break
    fi
    ((try < 50)) || { echo "$error" && exit 1; }
    sleep 0.1
done
root=disk/root

authorize() { # authorize HOME: let the lab's key in
    install -d -m 0700 "$root$1/.ssh"
    install -m 0600 seed/authorized_keys "$root$1/.ssh/authorized_keys"
    chown -R --reference="$root$1" "$root$1/.ssh"
}

if [[ ! -e disk/furnished ]]; then
    install -m 0600 seed/ssh_host_*_key "$root/etc/ssh/"
    install -m 0644 seed/ssh_host_*_key.pub "$root/etc/ssh/"
    install -m 0644 seed/hostname seed/hosts "$root/etc/"
    install -m 0644 seed/sandbox-net "$root/etc/default/"
    authorize /root
    authorize /home/deploy
    authorize /home/careful
    # Its own, or journals and leases of two hosts are taken for one's.
    read -r uuid </proc/sys/kernel/random/uuid
    echo "${uuid//-/}" >"$root/etc/machine-id"
    : >disk/furnished
fi

# A guest holds about 8 inotify instances of uid 0, which all hosts share: at the default limit of 128 the 17th has none
# left and never gets up. Counted, not guessed: others use them too.
limit_file=/proc/sys/fs/inotify/max_user_instances
read -r limit <$limit_file
used=$(find /proc/[0-9]*/fd -lname 'anon_inode:inotify' 2>/dev/null | wc -l) || true
if ((used + 48 > limit)); then
    echo $((used + 256)) >$limit_file
    echo "raised fs.inotify.max_user_instances from $limit to $((used + 256))"
fi

setsid --fork bash "$here/loop.sh" "$machine" "$bridge" </dev/null >console 2>&1
