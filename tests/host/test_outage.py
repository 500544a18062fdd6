"""The fault that systemd was brought in for: after a power cut the app starts before names resolve, and stays down.

Here a host boots whose address comes ten seconds late, so that nothing resolves until then. The same app is on it twice:
by the unit that we write, and by the well-known one that has `After=network.target` and `RemainAfterExit=yes`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.project import SERVER, OnHost, Project, wait_for
from tests.host.test_units import DAEMON, SOURCE

LATE_S = 10
# It asks for its database once, when it starts, as many do.
NEEDY = SERVER.replace("@VERSION@", "1.0.0").replace(
    "my $socket =",
    r"""gethostbyname('db.example') or die "db.example: non-existing domain\n";
print "db.example resolves\n";
my $socket =""",
)

# A name server on the host itself. It is asked by the host's own address, so nobody reaches it before that is there.
NAMES = r"""#!/usr/bin/perl
use Socket;
socket(my $socket, PF_INET, SOCK_DGRAM, 0) or die $!;
bind($socket, sockaddr_in(53, INADDR_ANY)) or die $!;
while (defined(my $from = recv($socket, my $query, 512, 0))) {
    my ($id) = unpack "n", $query;
    my ($question) = substr($query, 12) =~ /^([^\0]*\0.{4})/s or next;
    my $has = unpack("n", substr $question, -4) == 1 ? 1 : 0;
    my $answer = $has ? pack("nnnNnC4", 0xc00c, 1, 1, 60, 4, 127, 0, 0, 1) : "";
    send $socket, pack("nnnnnn", $id, 0x8180, 1, $has, 0, 0) . $question . $answer, 0, $from;
}
"""

UNITS = {
    "names.service": """\
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/local/sbin/names
[Install]
WantedBy=sysinit.target
""",
    # The network as it is managed: the links, at once.
    "sandbox-net.service": """\
[Unit]
DefaultDependencies=no
Before=network-pre.target network.target ssh.service
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip link set lo up
ExecStart=/bin/ip link set host0 up
[Install]
WantedBy=sysinit.target
""",
    # The address, as a slow lease gives it.
    "lease.service": f"""\
[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/default/sandbox-net
ExecStart=/bin/sleep {LATE_S}
ExecStart=/bin/ip address replace ${{ADDRESS}}/24 dev host0
ExecStart=/bin/ip route replace default via ${{GATEWAY}}
[Install]
WantedBy=multi-user.target
""",
}

# What NetworkManager-wait-online and its like do; not every host has one.
WAIT_ONLINE = """\
[Unit]
Requires=lease.service
After=lease.service
Before=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
[Install]
WantedBy=network-online.target
"""


@dataclass(frozen=True, kw_only=True)
class Booted:
    """The host after a power cut and a boot, with the address there at last; the app by our unit, and by the source's."""

    ours: OnHost
    source: OnHost
    has_wait_online: bool


def put(on_host: OnHost, path: str, text: str, mode: str = "0644") -> None:
    on_host.sh(f"base64 -d <<<{base64.b64encode(text.encode()).decode()} | install -D -m {mode} /dev/stdin {path}")


def answers(on_host: OnHost, port: int) -> bool:
    return on_host.sh(f"timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo yes || true") == "yes"


@pytest.fixture(scope="module")
def apps(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> tuple[OnHost, OnHost]:
    """The app twice, deployed while the network is there; from its next boot on it is late."""
    ours = Project(directory=tmp_path_factory.mktemp("ours"), hosts=(host,))
    source = Project(directory=tmp_path_factory.mktemp("source"), hosts=(host,), name="my_phoenix_app")
    source.env = 'set = { PORT = "4001" }'
    source.health = source.health.replace("4000", "4001")
    source.service = 'template = "my_phoenix_app.service"'
    for project in (ours, source):
        project.health = project.health.replace('settle = "1s"', 'settle = "300ms"')
    (source.write().config.parent / "my_phoenix_app.service").write_text(SOURCE)
    looks = OnHost(lab=lab, host=host, project=ours.write()), OnHost(lab=lab, host=host, project=source)
    put(looks[0], "/usr/local/sbin/names", NAMES, "0755")
    put(looks[0], "/etc/resolv.conf", f"nameserver {host.address}\noptions timeout:1 attempts:1\n")
    for name, text in UNITS.items():
        put(looks[0], f"/etc/systemd/system/{name}", text)
    looks[0].sh("systemctl daemon-reload; systemctl enable --quiet names lease; systemctl start names")
    wait_for(lambda: looks[0].sh("getent hosts db.example || true"))
    needy = {"bin/server": NEEDY.encode()}
    for project, files in ((ours, needy), (source, {**needy, "bin/my_phoenix_app": DAEMON.encode()})):
        done = project.deploy("1.0.0", files=files)
        assert done.status == 0, done.text
    return looks


@pytest.fixture(scope="module", params=[True, False], ids=["wait-online", "no-wait-online"])
def booted(request: pytest.FixtureRequest, lab: Lab, apps: tuple[OnHost, OnHost]) -> Booted:
    ours, source = apps
    wait_online = "/etc/systemd/system/wait-online.service"
    if request.param:
        put(ours, wait_online, WAIT_ONLINE)
        ours.sh("systemctl daemon-reload; systemctl enable --quiet wait-online")
    else:
        ours.sh(f"systemctl disable --quiet wait-online; rm -f {wait_online}")
    lab.powercut(ours.host.name)
    lab.boot(ours.host.name)
    wait_for(lambda: ours.sh("getent hosts db.example || true"))
    return Booted(ours=ours, source=source, has_wait_online=request.param)


def test_our_unit_is_up_by_itself_after_a_boot_with_a_late_network(booted: Booted) -> None:
    ours = booted.ours
    wait_for(lambda: answers(ours, 4000), timeout_s=30)
    assert ours.is_consistent()
    said = ours.sh("journalctl -b -o cat -u shop.service")
    assert "db.example resolves" in said
    if booted.has_wait_online:
        # It was not even tried before.
        assert (ours.unit("NRestarts"), "non-existing domain" in said) == ("0", False), said
        lease_us, start_us = (
            int(ours.sh(f"systemctl show -P {key} {unit}.service"))
            for unit, key in (("lease", "ActiveEnterTimestampMonotonic"), ("shop", "ExecMainStartTimestampMonotonic"))
        )
        assert lease_us < start_us
    else:
        # Nothing told systemd when names would resolve: it took some tries.
        assert int(ours.unit("NRestarts")) > 0, said
        assert "non-existing domain" in said


def test_the_unit_of_the_source_stays_down_until_a_person_comes(booted: Booted) -> None:
    source = booted.source
    said = source.sh("journalctl -b -o cat -u my_phoenix_app.service")
    assert "non-existing domain" in said, said
    assert not answers(source, 4001)
    # Nobody is told, and nothing will start it again.
    assert (source.unit("ActiveState"), source.unit("SubState"), source.unit("Restart")) == ("active", "exited", "no")
    source.sh("systemctl restart my_phoenix_app.service")
    wait_for(lambda: answers(source, 4001))
