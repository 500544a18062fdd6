#!/bin/bash
# Make the disk of a virtual machine once: CACHE/vm/NAME is complete or not there, whoever builds, dies or waits. In it:
# disk.img, vmlinuz, initrd.img, the key that lets in (key) and the one that it is known by (host_key.pub).
# usage: image.sh CACHE NAME SUITE MIRROR PACKAGES [PROXY_VARIABLE=VALUE ...]   as root, in its own mount namespace
set -euo pipefail
umask 022

cache=$1 name=$2 suite=$3 mirror=$4 packages=$5
shift 5
here=$(dirname -- "$(realpath -- "$0")")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Root's alone: a private key lies here, and set-user-id programs.
mkdir -p -- "$cache/vm"
chmod 0700 -- "$cache/vm"
cd -- "$cache/vm"
[[ ! -d $name ]] || exit 0

# Children inherit the lock: it lasts as long as anything still writes.
exec 9>"$name.lock"
flock --nonblock 9 || { echo "somebody else makes this image: waiting for it" && flock 9; }
[[ ! -d $name ]] || exit 0

building=$name.building
rm -rf --one-file-system -- "$building"
trap 'rm -rf --one-file-system -- "$building"' EXIT
mkdir -- "$building"

echo "making a $suite virtual machine from $mirror (once, a minute or two)"
root=$building/root
env "$@" mmdebstrap --mode=root --format=directory --variant=minbase --include="$packages" \
    --aptopt='Acquire::Retries "3"' --aptopt='APT::Sandbox::User "root"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$root" "deb [signed-by=$keyring] $mirror $suite main"

ssh-keygen -q -t ed25519 -N "" -C deployer-test-vm -f "$building/key"
rm -f -- "$root"/etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N "" -C root@vm -f "$root/etc/ssh/ssh_host_ed25519_key"
cut -d ' ' -f 1,2 <"$root/etc/ssh/ssh_host_ed25519_key.pub" >"$building/host_key.pub"
install -d -m 0700 "$root/root/.ssh"
install -m 0600 "$building/key.pub" "$root/root/.ssh/authorized_keys"

mount -t proc proc "$root/proc"
chroot "$root" /bin/bash -s <"$here/furnish.sh"
umount "$root/proc"
cp -L -- "$root"/boot/vmlinuz-* "$building/vmlinuz"
cp -L -- "$root"/boot/initrd.img-* "$building/initrd.img"
rm -rf -- "${root:?}"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
mke2fs -q -t ext4 -d "$root" -L root "$building/disk.img" 2G
rm -rf --one-file-system -- "$root"
sync -f "$building"
mv -T -- "$building" "$name"
trap - EXIT
echo "the virtual machine's image is ready"
