"""Keys that say how the service runs: `[service]` and `[env]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deployer.config import patterns
from deployer.config.definition import Key, Rule, Table, Values, not_beside
from deployer.config.free_tables import Directives, Variables
from deployer.config.values import Choice, Duration, ListOf, LocalPath, Text

UNIT_COMMAND: Final = Text(accepts="a command on one line that does not end in a backslash", pattern=patterns.UNIT_LINE)
VARIABLE_NAMES: Final = ListOf(
    item=Text(
        accepts='a variable\'s name: letters, digits and "_", not beginning with a digit', pattern=patterns.VARIABLE
    ),
    accepts='a list of variables\' names, such as ["SECRET_KEY_BASE"]',
)
_SHAPING: Final = (
    "exec_start",
    "type",
    "hardening",
    "restart",
    "restart_delay",
    "start_timeout",
    "stop_timeout",
    "directives",
)


def _exec_needs_a_command(values: Values, given: frozenset[str]) -> Iterator[tuple[str, str]]:
    if values.get("kind") == "exec" and not given & {"exec_start", "template"}:
        yield "kind", '"exec" needs exec_start beside it: what to start'


def _oneshot_is_not_restarted(values: Values, _given: frozenset[str]) -> Iterator[tuple[str, str]]:
    if values.get("type") == "oneshot" and values.get("restart") in {"always", "on-success"}:
        yield "restart", f'"{values["restart"]}" is refused by systemd for a service of type "oneshot"'


SERVICE: Final = Table(
    name="service",
    doc="How the release runs under systemd.",
    keys=(
        Key(
            name="kind",
            value=Choice(words=("auto", "mix", "exec"), later=("distillery", "relx", "exrm")),
            doc="What kind of release the tarball holds. `auto` looks into it; `mix` is an Elixir release of `mix release`; "
            "`exec` is anything with a command of its own.",
            example='kind = "mix"',
            default="auto",
        ),
        Key(
            name="exec_start",
            value=UNIT_COMMAND,
            doc="The command that runs the service in the foreground, as in `ExecStart=`. A relative program starts at the "
            "release's root.",
            example='exec_start = "bin/server --port ${PORT}"',
            default_text="known from the kind; `exec` needs it",
        ),
        Key(
            name="migrate",
            value=ListOf(item=UNIT_COMMAND, accepts="a command, or a list of commands, each on one line", single=True),
            doc="One-off commands to run before the release is tried, in its own environment, user and sandbox. One that "
            "fails ends the deploy before anything is switched.",
            example="migrate = \"bin/my_phoenix_app eval 'MyApp.Release.migrate()'\"",
            default=[],
        ),
        Key(
            name="migrate_timeout",
            value=Duration(),
            doc="How long each command of `migrate` may take.",
            example='migrate_timeout = "10m"',
            default="10m",
        ),
        Key(
            name="type",
            value=Choice(words=("exec", "simple", "notify", "forking", "oneshot")),
            doc="`Type=` of the unit: how systemd knows that the service has started.",
            example='type = "notify"',
            default="exec",
        ),
        Key(
            name="hardening",
            value=Choice(words=("strict", "basic", "off")),
            doc="How much of the host the service is kept away from. `directives` replaces or removes single lines.",
            example='hardening = "basic"',
            default="strict",
        ),
        Key(
            name="restart",
            value=Choice(words=("on-failure", "always", "no", "on-success", "on-abnormal", "on-watchdog", "on-abort")),
            doc="`Restart=` of the unit: when systemd starts the service again by itself.",
            example='restart = "always"',
            default="on-failure",
        ),
        Key(
            name="restart_delay",
            value=Duration(zero=True),
            doc="`RestartSec=` of the unit: how long systemd waits before it starts the service again.",
            example='restart_delay = "5s"',
            default="2s",
        ),
        Key(
            name="start_timeout",
            value=Duration(),
            doc="`TimeoutStartSec=` of the unit.",
            example='start_timeout = "3m"',
            default="90s",
        ),
        Key(
            name="stop_timeout",
            value=Duration(),
            doc="`TimeoutStopSec=` of the unit: how long a stop may take before the service is killed.",
            example='stop_timeout = "1m"',
            default="30s",
        ),
        Key(
            name="template",
            value=LocalPath(),
            doc="A unit file of your own, with placeholders, instead of the rendered one.",
            example='template = "my_phoenix_app.service"',
        ),
        Key(
            name="directives",
            value=Directives(),
            doc="Lines to add to the rendered unit, to replace in it, or to remove from it. A name alone is of `[Service]`; "
            'other sections are written `"Unit.After"`, in quotes. A text or a number replaces the directive, `true` is '
            '`yes`, a list is several lines, `false` removes it. What replaces `"Unit.After"` should keep '
            "`network-online.target` and `nss-lookup.target` in it.",
            example='directives = { LimitNOFILE = 65536, PrivateTmp = false, "Unit.RequiresMountsFor" = "/srv" }',
            default={},
            private=True,
        ),
    ),
    rules=(
        Rule(
            text='`kind = "exec"` needs `exec_start` (or `template`) beside it: what to start.',
            check=_exec_needs_a_command,
            schema={
                "if": {"properties": {"kind": {"const": "exec"}}, "required": ["kind"]},
                "then": {"anyOf": [{"required": ["exec_start"]}, {"required": ["template"]}]},
            },
        ),
        Rule(
            text='`type = "oneshot"` does not go with `restart = "always"` or `"on-success"`: systemd refuses such a unit.',
            check=_oneshot_is_not_restarted,
            schema={
                "if": {"properties": {"type": {"const": "oneshot"}}, "required": ["type"]},
                "then": {"properties": {"restart": {"not": {"enum": ["always", "on-success"]}}}},
            },
        ),
        not_beside("template", _SHAPING, "your own unit file says it"),
    ),
)

ENV: Final = Table(
    name="env",
    doc="Where the service's environment comes from. The sources are merged in the order of this page, and "
    "`env` of a host comes last; the later one wins. Values never appear in a message.",
    keys=(
        Key(
            name="file",
            value=LocalPath(),
            doc="A dotenv file on this machine. Never commit it.",
            example='file = "env/prod.env"',
            private=True,
        ),
        Key(
            name="command",
            value=Text(accepts="a shell command", pattern=patterns.SHELL),
            doc="A command for this machine's shell that prints `NAME=value` lines, such as `sops -d`, `op inject` or "
            "`pass show`.",
            example='command = "sops -d env/prod.sops.env"',
            private=True,
        ),
        Key(
            name="set",
            value=Variables(),
            doc="Variables that are no secrets: texts, whole numbers, `true` and `false`.",
            example='set = { PORT = 4000, PHX_SERVER = true, DB_NAME = "shop" }',
            default={},
            private=True,
        ),
        Key(
            name="inherit",
            value=VARIABLE_NAMES,
            doc="Variables to take from the environment that `deployer` runs in, as CI sets them.",
            example='inherit = ["SENDGRID_API_KEY"]',
            default=[],
            private=True,
        ),
        Key(
            name="required",
            value=VARIABLE_NAMES,
            doc="Variables that must be there and not empty, or nothing is deployed.",
            example='required = ["SECRET_KEY_BASE", "DB_HOST"]',
            default=[],
            private=True,
        ),
    ),
)
