#!/bin/bash
# Furnish a new virtual machine, from inside its file system: what a server has, and as little to do at boot as can be,
# for each second of it is a second of every strike.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app
echo vm >/etc/hostname
printf '127.0.0.1 localhost vm\n' >/etc/hosts
: >/etc/resolv.conf
echo LANG=C.UTF-8 >/etc/default/locale
# What is not synced stays in memory for as long as can be, so that a power cut really takes it.
printf '/dev/vda / ext4 errors=remount-ro,commit=300 0 1\n' >/etc/fstab
printf 'vm.dirty_writeback_centisecs=0\nvm.dirty_expire_centisecs=360000\n' >/etc/sysctl.d/vm.conf
systemd-machine-id-setup >/dev/null

mkdir -p /var/log/journal /etc/systemd/journald.conf.d /etc/systemd/system.conf.d
# The kernel's own lines would drown the console, on which the strikes are called.
printf '[Journal]\nStorage=persistent\nForwardToConsole=no\nReadKMsg=no\n' >/etc/systemd/journald.conf.d/vm.conf
printf '[Manager]\nLogLevel=notice\nShowStatus=no\n' >/etc/systemd/system.conf.d/vm.conf
# Each login by key would wait for a session to be made.
rm -f /etc/update-motd.d/*
sed -i '/pam_systemd.so/d; /pam_motd/d; /pam_mail/d; /pam_lastlog/d' /etc/pam.d/common-session /etc/pam.d/sshd /etc/pam.d/login
printf 'UseDNS no\n' >/etc/ssh/sshd_config.d/vm.conf

# Addresses of the user network of qemu: a static one, for DHCP would cost another daemon.
cat >/etc/systemd/system/vm-net.service <<'END'
[Unit]
Description=Network of the virtual machine
DefaultDependencies=no
After=systemd-modules-load.service
Before=network-pre.target network.target network-online.target ssh.service
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash -c 'until ls -d /sys/class/net/e*; do sleep 0.1; done; ip link set lo up; cd /sys/class/net; ip address replace 10.0.2.15/24 dev e*; ip link set e* up; ip route replace default via 10.0.2.2'

[Install]
WantedBy=sysinit.target
END
systemctl --quiet enable vm-net.service
# Deliberately without a clock that follows the host's: a test sets it.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-pstore.service systemd-timesyncd.service getty.target getty@.service serial-getty@.service \
    console-getty.service systemd-logind.service systemd-binfmt.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-hwdb-update.service systemd-machine-id-commit.service systemd-sysusers.service \
    systemd-udev-settle.service systemd-journal-catalog-update.service systemd-update-done.service \
    systemd-random-seed.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@dm_mod.service modprobe@loop.service systemd-repart.service \
    e2scrub@.service cryptsetup.target remote-cryptsetup.target systemd-fsck@.service

# Only what its own disk needs, and quick to unpack.
printf 'MODULES=list\nBUSYBOX=auto\nCOMPRESS=lz4\nRESUME=none\nFSTYPE=ext4\n' >/etc/initramfs-tools/conf.d/vm
printf 'virtio_pci\nvirtio_blk\next4\n' >/etc/initramfs-tools/modules
printf 'virtio_net\nvirtio_rng\n' >/etc/modules
update-initramfs -u
