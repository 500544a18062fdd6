from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from deployer.errors import UsageError
from deployer.kinds.base import Launch
from deployer.model import App, Config, Service
from deployer.unit import unit_text
from deployer.unit.text import HEADER

# A well-known unit for a Phoenix application, with nothing but its paths replaced.
SOURCE = """\
[Unit]
Description=Runner for My Phoenix App
After=network.target

[Service]
WorkingDirectory={{release}}
EnvironmentFile={{env_file}}
ExecStart={{release}}/bin/my_phoenix_app start
ExecStop={{release}}/bin/my_phoenix_app stop
User=ubuntu
RemainAfterExit=yes

[Install]
WantedBy=multi-user.target
"""


def filled(directory: Path, text: str | bytes) -> str:
    path = directory / "my.service"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    app = App(name="shop", user="ubuntu", description="shop", root=PurePosixPath("/opt/shop"), keep=5)
    whole = Config(path=directory / "deploy.toml", app=app, service=Service(template=path))
    release = PurePosixPath("/opt/shop/releases/1.0-abcdef01")
    return unit_text(whole, launch=Launch(exec_start=""), release_path=release, env_file=app.env_path)


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        filled(directory, text)
    assert caught.value.exit_code == 2
    return list(caught.value.details)


def test_the_unit_of_the_source_works_with_its_paths_replaced(tmp_path: Path) -> None:
    wanted = SOURCE.replace("{{release}}", "/opt/shop/releases/1.0-abcdef01")
    assert filled(tmp_path, SOURCE) == HEADER + wanted.replace("{{env_file}}", "/etc/default/shop.env")


def test_every_placeholder_is_filled_in(tmp_path: Path) -> None:
    text = SOURCE.replace("User=ubuntu", "User={{ user }}\nSyslogIdentifier={{name}}")
    assert "\nUser=ubuntu\nSyslogIdentifier=shop\n" in filled(tmp_path, text)


def test_doubled_braces_stand_for_themselves(tmp_path: Path) -> None:
    text = SOURCE.replace("app stop", "app stop --format '{{{{.Name}}' }} ${X} %n")
    assert "app stop --format '{{.Name}}' }} ${X} %n\n" in filled(tmp_path, text)


def test_windows_line_ends_and_byte_order_mark_are_taken_away(tmp_path: Path) -> None:
    assert filled(tmp_path, b"\xef\xbb\xbf" + SOURCE.replace("\n", "\r\n").encode()) == filled(tmp_path, SOURCE)


def test_a_dash_before_the_environment_file_is_the_users_choice(tmp_path: Path) -> None:
    text = SOURCE.replace("={{env_file}}", "=-{{env_file}}")
    assert "\nEnvironmentFile=-/etc/default/shop.env\n" in filled(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "{{release}}/bin/my_phoenix_app stop",
            "{{relase}}/stop",
            "9: unknown placeholder {{relase}}, did you mean {{release}}?",
        ),
        ("{{env_file}}", "{{env-file}}", "7: unknown placeholder {{env-file}}, did you mean {{env_file}}?"),
        (
            "User=ubuntu",
            "User={{zzz}}",
            "10: unknown placeholder {{zzz}}; known are {{release}}, {{env_file}}, {{user}} and {{name}}",
        ),
        (
            "User=ubuntu",
            "Documentation={{.Name}}",
            "10: {{ begins no placeholder; write {{{{ where it is meant as it stands",
        ),
        ("EnvironmentFile={{env_file}}\n", "", "13: there is no EnvironmentFile={{env_file}} in [Service]"),
        ("EnvironmentFile={{env_file}}", "EnvironmentFile=/etc/x", "7: EnvironmentFile= must be {{env_file}}"),
        (
            "EnvironmentFile={{env_file}}",
            "EnvironmentFile={{env_file}}.more",
            "7: EnvironmentFile= must be {{env_file}}",
        ),
        ("User=", "EnvironmentFile={{env_file}}\nUser=", "10: EnvironmentFile={{env_file}} is given twice"),
        ("User=", "EnvironmentFile=-/etc/common\nUser=", "10: EnvironmentFile= must be {{env_file}}"),
        ("User=", "ExecStartPre=cat {{env_file}}\nUser=", "10: {{env_file}} belongs into EnvironmentFile= alone"),
        ("WantedBy=multi-user.target\n", "", "13: there is no WantedBy= in [Install]"),
        ("WantedBy=multi-user.target", "WantedBy=", "14: there is no WantedBy= in [Install]"),
        ("ExecStart=", "#ExecStart=", "14: there is no ExecStart= in [Service]"),
    ],
)
def test_a_fault_names_its_line(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in SOURCE
    assert any(each.startswith(f"my.service:{fault}") for each in faults(tmp_path, SOURCE.replace(old, new)))


def test_a_template_without_the_release_could_not_go_back(tmp_path: Path) -> None:
    text = SOURCE.replace("{{release}}", "/opt/shop/current") + "# {{release}}\n"
    (fault,) = faults(tmp_path, text)
    assert "a rollback would start the same files again" in fault


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "[Service]\nUser={{usr}}\n")) == 5


def test_a_template_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    app = App(name="shop", user="ubuntu", description="shop", root=PurePosixPath("/opt/shop"), keep=5)
    whole = Config(path=tmp_path / "deploy.toml", app=app, service=Service(template=tmp_path / "gone.service"))
    with pytest.raises(UsageError, match=r"gone\.service cannot be read: No such file or directory"):
        unit_text(whole, launch=Launch(exec_start=""), release_path=app.root, env_file=app.env_path)


def test_a_template_that_is_not_utf_8_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8"):
        filled(tmp_path, b"\xff")
