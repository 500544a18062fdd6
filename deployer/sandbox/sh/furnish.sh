#!/bin/bash
# Furnish a new root file system, from inside it: users, a journal that stays, its network, less to do at boot.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

useradd --create-home --shell /bin/bash deploy
useradd --create-home --shell /bin/bash --groups sudo careful
useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app
chpasswd <<<'careful:sandbox-only'
echo 'deploy ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy
chmod 0440 /etc/sudoers.d/deploy

# The password above is for sudo alone: it is public.
cat >/etc/ssh/sshd_config.d/sandbox.conf <<'END'
Match User careful
    PasswordAuthentication no
END

# pam_env(8) complains in the journal at every login when there is none.
echo LANG=C.UTF-8 >/etc/default/locale

mkdir -p /var/log/journal /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\n' >/etc/systemd/journald.conf.d/sandbox.conf

# From inside and before sshd, so that there is nothing to race with after a reboot.
cat >/etc/systemd/system/sandbox-net.service <<'END'
[Unit]
Description=Network of a sandbox host
DefaultDependencies=no
Before=network-pre.target network.target network-online.target ssh.service
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/default/sandbox-net
ExecStart=/bin/ip link set lo up
ExecStart=/bin/ip address replace ${ADDRESS}/24 dev host0
ExecStart=/bin/ip link set host0 up
ExecStart=/bin/ip route replace default via ${GATEWAY}

[Install]
WantedBy=sysinit.target
END
systemctl --quiet enable sandbox-net.service

# console-getty: its console is not a terminal here, so it would end and start over and fill the journal.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-pstore.service console-getty.service

# Each host gets its own.
rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id
: >/etc/hostname
# No name service: a query must end at once, not after seconds.
: >/etc/resolv.conf
