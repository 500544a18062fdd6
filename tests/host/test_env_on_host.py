"""The encoder and the reader of environment files against real services of two systemd versions."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping

import pytest

from deployer import local
from deployer.env import encode, parse_systemd
from deployer.env.systemd import LONGEST_BYTES, TOTAL_BYTES
from deployer.model import Secret
from deployer.sandbox import SUITES, Lab, SandboxHost

pytestmark = pytest.mark.parametrize("suite", SUITES, indirect=True)

UNIT = """\
[Service]
Type=exec
EnvironmentFile=/etc/default/envt.env
ExecStart=/usr/bin/sleep infinity
TimeoutStopSec=5
"""

# For each line of base64 on standard input: a file, a start, and what the process found, as base64 on one line.
PROBE = r"""
set -eu
umask 077
while read -r line; do
    base64 -d <<<"$line" >/etc/default/envt.env
    systemctl reset-failed envt.service 2>/dev/null || true
    if systemctl restart envt.service 2>/dev/null; then
        base64 -w 0 "/proc/$(systemctl show --value -p MainPID envt.service)/environ"
        echo
    else
        echo "! $(systemctl show --value -p Result envt.service) $(systemctl show --value -p ExecMainStatus envt.service)"
    fi
done
systemctl stop envt.service
"""

POOLS = (
    "\"'\\`$ \t\n\r#;=!%{}()&|<>*?~",
    '\n\r\t\x01\x07\x08\x0b\x0c\x1b\x7f \\"',
    "abcXYZ019 _-./:@",
    "áéžłß日本語🎉\u00a0\u2028\u200b\ufeff\U0001f468\u200d",
    '\\\\\\"""\n',
)


def started_with(lab: Lab, host: SandboxHost, files: list[str]) -> list[dict[str, str] | str]:
    """Start a service with each file; return what its process finds, or how the start failed."""

    def ssh(*command: str, stdin: bytes) -> str:
        done = local.run(lab.ssh_argv(host.name, *command), timeout_s=120, stdin=stdin)
        assert done.status == 0, done.stderr.decode()
        return done.stdout.decode()

    ssh("cat >/run/systemd/system/envt.service && systemctl daemon-reload", stdin=UNIT.encode())
    ssh("cat >/run/probe.sh", stdin=PROBE.encode())
    stdin = "".join(base64.b64encode(file.encode("utf-8", "surrogateescape")).decode() + "\n" for file in files)
    answers = ssh("bash /run/probe.sh", stdin=stdin.encode()).splitlines()
    return [answer if answer.startswith("!") else _environ(answer) for answer in answers]


def _environ(answer: str) -> dict[str, str]:
    pairs = base64.b64decode(answer).decode().split("\0")[:-1]
    return dict(pair.split("=", 1) for pair in pairs if pair.startswith("V"))


def nasty(seed: int, count: int) -> dict[str, str]:
    rng = random.Random(seed)  # noqa: S311 - the same values each time
    values = {}
    for number in range(count):
        pool = rng.choice(POOLS) if rng.random() < 0.5 else "".join(POOLS)
        values[f"V{number}"] = "".join(rng.choices(pool, k=rng.choice([0, 1, 2, 3, 5, 8, 20, 60])))
    return values


def encoded(values: Mapping[str, str]) -> str:
    return encode({name: Secret(text) for name, text in values.items()}).reveal()


def test_hundreds_of_nasty_values_reach_a_process_exactly(lab: Lab, host: SandboxHost) -> None:
    batches = [nasty(seed, 400) for seed in (1, 7)]
    assert started_with(lab, host, [encoded(batch) for batch in batches]) == batches


def test_a_mangled_value_would_be_seen(lab: Lab, host: SandboxHost) -> None:
    # The twin of the test above: the same values, with single quotes, do not come back.
    values = nasty(1, 400)
    (found,) = started_with(lab, host, ["".join(f"{name}='{text}'\n" for name, text in values.items())])
    assert found != values


def test_the_longest_variable_and_the_largest_environment_reach_a_process(lab: Lab, host: SandboxHost) -> None:
    longest = {"V": "é" * ((LONGEST_BYTES - 3) // 2) + "x"}
    size = 100_000
    many = {f"V{number:02}": "x" * (size - 13) for number in range(TOTAL_BYTES // size)}
    assert started_with(lab, host, [encoded(longest), encoded(many)]) == [longest, many]


def test_what_the_encoder_refuses_systemd_cannot_start_with(lab: Lab, host: SandboxHost) -> None:
    too_long = f'V="{"x" * (LONGEST_BYTES - 1)}"\n'
    too_much = "".join(f'V{number}="{"x" * 100_000}"\n' for number in range(22))
    answers = started_with(
        lab, host, ['V="\ufffe"\n', 'V="\ufdd0"\n', 'V="\udcff"\n', 'V="a\0b"\n', too_long, too_much, 'V="fine"\n']
    )
    assert [str(answer).split()[0] for answer in answers[:-1]] == ["!"] * 6
    assert answers[-1] == {"V": "fine"}


def test_files_of_others_are_read_as_systemd_reads_them(lab: Lab, host: SandboxHost) -> None:
    rng = random.Random(3)  # noqa: S311 - the same files each time
    pieces = ["V1", "V2", "V3=", "V4=", "=", '"', "'", "\\", "\n", "\n", "\r", " ", "\t", "#", ";", "a", "é", "$", "`"]
    files = ["".join(rng.choices(pieces, k=rng.randrange(1, 40))) for _ in range(150)]
    versions = {"bookworm": 252, "trixie": 257}
    expected = [
        {
            name: value.reveal()
            for name, value in parse_systemd(file, systemd=versions[host.suite]).items()
            if name[0] == "V"
        }
        for file in files
    ]
    assert started_with(lab, host, files) == expected
    assert sum(bool(each) for each in expected) > 50, "most files say nothing: the test proves little"
