from __future__ import annotations

import pytest

from deployer.unit import remarks

GOOD = """\
[Unit]
Wants=network-online.target
After=network-online.target nss-lookup.target
[Service]
Type=exec
User=app
Environment=LANG=C.UTF-8
EnvironmentFile=/etc/default/x.env
ExecStart=/opt/x/releases/1/bin/x start
Restart=on-failure
"""


def test_a_good_unit_has_no_remarks() -> None:
    assert remarks(GOOD) == ()


def test_the_unit_of_the_source_is_told_what_it_hides() -> None:
    unit = """\
[Unit]
After=network.target
[Service]
EnvironmentFile=/etc/default/my_phoenix_app.env
ExecStart=/opt/my/bin/my start
ExecStop=/opt/my/bin/my stop
User=ubuntu
RemainAfterExit=yes
"""
    assert [sentence.split(" ", 1)[0] for sentence in remarks(unit)] == [
        "RemainAfterExit=yes",
        "Without",
        "without",
        "After=network.target",
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("Type=exec", "Type=exec\nRemainAfterExit=true", "hides crashes"),
        ("Type=exec", "Type=forking", "without PIDFile="),
        ("Type=exec", "Type=simple", "Type=simple counts as started"),
        ("Type=exec\n", "", "Without Type="),
        ("x start", "x daemon", "into the background"),
        ("Restart=on-failure", "", "stays down after its first crash"),
        ("Restart=on-failure", "Restart=always\nRestart=no", "stays down after its first crash"),
        ("Type=exec", "Type=exec\nKillMode=none", "KillMode=none leaves processes"),
        ("Type=exec", "Type=exec\nStartLimitIntervalSec=60", "does nothing in [Service]"),
        ("Wants=network-online.target\n", "", "without Wants=network-online.target does nothing"),
        ("After=network-online.target nss-lookup.target\n", "", "without After=network-online.target"),
        (
            "Wants=network-online.target\nAfter=network-online.target nss-lookup.target",
            "After=network.target",
            "After=network.target does not promise",
        ),
        (
            "Wants=network-online.target\nAfter=network-online.target nss-lookup.target",
            "",
            "nothing promises",
        ),
        ("=/etc/default/x.env", "=-/etc/default/x.env", 'the "-" in EnvironmentFile=-'),
        ("LANG=C.UTF-8", "DB_PASSWORD=x", "every user of the host can read"),
        ("User=app\n", "", "runs as root"),
        ("releases/1/", "current/", "not pinned"),
    ],
)
def test_each_weakness_has_one_sentence(old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    (found,) = remarks(GOOD.replace(old, new))
    assert sentence in found


def test_endless_crashing_is_remarked() -> None:
    unit = GOOD.replace("[Service]", "StartLimitIntervalSec=0\n[Service]").replace("on-failure", "always")
    (found,) = remarks(unit)
    assert "crash for ever" in found


def test_a_secret_in_the_unit_is_not_shown() -> None:
    assert "hunter2" not in " ".join(remarks(GOOD.replace("LANG=C.UTF-8", "API_TOKEN=hunter2")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Type=exec", "Type=oneshot\nRemainAfterExit=yes"),
        ("Type=exec", "Type=forking\nPIDFile=/run/x.pid"),
        ("Type=exec", "Type=exec\nRemainAfterExit=no"),
        ("Type=exec", "Type=exec\nKillMode=none\nKillMode=mixed"),
        ("User=app", "DynamicUser=yes"),
    ],
)
def test_what_is_right_is_not_remarked(old: str, new: str) -> None:
    assert remarks(GOOD.replace(old, new)) == ()
