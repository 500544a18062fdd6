from __future__ import annotations

import pytest

from deployer.unit import one_off_text

UNIT = """\
[Unit]
Description=x
[Service]
# a comment
Type=exec
ExecStart=/x
ExecStartPre=/y
ExecStop=/z
Restart=always
RestartSec=1
WatchdogSec=5
TimeoutStartSec=90
KillMode=mixed
KillSignal=SIGINT
SuccessExitStatus=143
StandardOutput=append:/var/log/x
TTYPath=/dev/tty1
SyslogIdentifier=x
RuntimeMaxSec=5
RuntimeDirectoryPreserve=no
RemoveIPC=yes
User=app
Group=web
WorkingDirectory=/opt/x
Environment=A=1 \\
  B=2
Environment="C=%n %% 100%%n"
EnvironmentFile = /etc/default/x.env
LimitNOFILE=1024
RuntimeDirectory=%p
StateDirectory=x
ExecPaths=/opt
ExecSearchPath=/opt/bin
ProtectSystem=strict
CapabilityBoundingSet=
MemoryMax=1G
[Install]
WantedBy=multi-user.target
"""


def test_what_a_command_sees_is_kept_and_the_services_life_is_left_out() -> None:
    assert (
        one_off_text(UNIT, unit_name="my-shop@eu.service")
        == """\
[Service]
User=app
Group=web
WorkingDirectory=/opt/x
Environment=A=1  B=2
Environment="C=my-shop@eu.service %% 100%%n"
EnvironmentFile=/etc/default/x.env
LimitNOFILE=1024
RuntimeDirectory=my-shop
StateDirectory=x
ExecPaths=/opt
ExecSearchPath=/opt/bin
ProtectSystem=strict
CapabilityBoundingSet=
MemoryMax=1G
RuntimeDirectoryPreserve=yes
"""
    )


@pytest.mark.parametrize(
    ("specifier", "text"),
    [
        ("%n", "my-shop@a-b.service"),
        ("%N", "my-shop@a-b"),
        ("%p", "my-shop"),
        ("%P", "my/shop"),
        ("%i", "a-b"),
        ("%I", "a/b"),
        ("%j", "shop"),
        ("%J", "shop"),
        ("%f", "/a/b"),
        ("%t/%u", "%t/%u"),
        ("%%n", "%%n"),
        ("%", "%"),
    ],
)
def test_specifiers_of_the_unit_keep_their_meaning(specifier: str, text: str) -> None:
    drop_in = one_off_text(f"[Service]\nReadWritePaths={specifier}\n", unit_name="my-shop@a-b.service")
    assert drop_in == f"[Service]\nReadWritePaths={text}\nRuntimeDirectoryPreserve=yes\n"
