"""What is wrong with [service] is told with all other faults of a config, each with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer import unit
from deployer.config import loads
from deployer.errors import ConfigError

APP = '[app]\nname = "shop"\nuser = "ubuntu"\n'


def faults(text: str, *, directory: Path = Path("/srv/shop")) -> list[str]:
    path = directory / "deploy.toml"
    with pytest.raises(ConfigError) as caught:
        loads(APP + text, path=path, judge=unit.faults)
    return [line.removeprefix(f"{path}:") for line in caught.value.details]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("exec_start = 'bin/server \"a'", "5: service.exec_start: the start command 'bin/server \"a' has a quote that"),
        ('exec_start = "$X/prog"', "5: service.exec_start: the start command '$X/prog' begins with a variable"),
        ('exec_start = "../x"', "5: service.exec_start: the start command '../x' begins with ../"),
        (
            "[service.directives]\nEnvironment = 'A=b'",
            "6: service.directives.Environment: directives cannot set Environment: ",
        ),
        (
            '[service.directives]\n"Service.EnvironmentFile" = false',
            '6: service.directives."Service.EnvironmentFile": directives cannot set EnvironmentFile: deployer pins it',
        ),
        (
            '[service.directives]\nExecStartPre = "{{relase}}/x"',
            "6: service.directives.ExecStartPre: unknown placeholder {{relase}}, did you mean {{release}}?",
        ),
        (
            '[service.directives]\n"Install.WantedBy" = false',
            '6: service.directives."Install.WantedBy": nothing would start the service at boot',
        ),
        (
            '[service.directives]\n"Install.WantedBy" = " "\n"Install.RequiredBy" = []',
            '7: service.directives."Install.RequiredBy": nothing would start the service at boot',
        ),
        (
            'template = "gone.service"',
            "5: service.template: the unit template /srv/shop/gone.service cannot be read: No such",
        ),
    ],
)
def test_a_fault_has_its_line_and_key(text: str, fault: str) -> None:
    (told,) = faults(f"[service]\n{text}\n")
    assert told.startswith(fault)


def test_they_come_with_all_other_faults_at_once(tmp_path: Path) -> None:
    (tmp_path / "shop.service").write_text("[Service]\nUser={{usr}}\n")
    told = faults('[service]\ntemplate = "shop.service"\nkind = "mixx"\n[hosts.a]\nport = 0\n', directory=tmp_path)
    assert [line.split(":")[:3] for line in told] == [
        ["5", " service.template", " shop.service"],
        ["5", " service.template", " shop.service"],
        ["5", " service.template", " shop.service"],
        ["5", " service.template", " shop.service"],
        ["5", " service.template", " shop.service"],
        ["6", " service.kind", ' "mixx" is not "auto", "mix" or "exec"; did you mean "mix"?'],
        ["8", " hosts.a.port", " 0 is not a whole number from 1 to 65535"],
    ]
    assert any(line.startswith("5: service.template: shop.service:2: unknown placeholder {{usr}}") for line in told)


def test_a_template_that_is_not_utf_8_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "shop.service").write_bytes(b"\xff")
    (told,) = faults('[service]\ntemplate = "shop.service"\n', directory=tmp_path)
    assert told.endswith("is not UTF-8 (byte 0)")


def test_no_value_of_a_directive_is_shown() -> None:
    told = faults('[service.directives]\nEnvironment = "A=hunter2"\n"Install.WantedBy" = false\n')
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    "text",
    [
        "exec_start = 'bin/server --port ${PORT} \"a b\"'",
        'exec_start = "/usr/bin/python3 app.py"',
        '[service.directives]\nEnvironment = false\n"Install.WantedBy" = "graphical.target"\nExecReload = "{{release}}/bin/x"',
        '[service.directives]\n"Install.WantedBy" = false\n"Install.UpheldBy" = "shop.target"',
    ],
)
def test_what_is_right_has_no_fault(text: str) -> None:
    assert loads(f"{APP}[service]\n{text}\n", path=Path("/srv/shop/deploy.toml"), judge=unit.faults).app.name == "shop"
