"""Keys that say where to deploy and how to get there: `[ssh]`, `[deploy]` and `[hosts.NAME]`."""

from __future__ import annotations

from typing import Final

from deployer.config import patterns
from deployer.config.definition import Key, Table, shorter
from deployer.config.free_tables import Variables
from deployer.config.values import Boolean, Duration, Integer, ListOf, LocalPath, Text

NAME_ACCEPTS: Final = 'a name: letters, digits and "_.-", beginning with a letter or a digit'
NAME: Final = Text(accepts=NAME_ACCEPTS, pattern=patterns.HOST)

SSH: Final = Table(
    name="ssh",
    doc="Connections: how long they may take, and what may differ from OpenSSH's own config, which applies as ever.",
    keys=(
        Key(
            name="connect_timeout",
            value=Duration(),
            doc="How long a connection may take to stand.",
            example='connect_timeout = "10s"',
            default="10s",
        ),
        Key(
            name="keepalive",
            value=Duration(),
            doc="How often a quiet connection is asked whether it still lives.",
            example='keepalive = "5s"',
            default="5s",
        ),
        Key(
            name="dead_after",
            value=Duration(),
            doc="How long a connection may stay silent before it counts as lost and is made anew.",
            example='dead_after = "15s"',
            default="15s",
        ),
        Key(
            name="step_timeout",
            value=Duration(),
            doc="How long one step on a host may take, such as unpacking.",
            example='step_timeout = "5m"',
            default="5m",
        ),
        Key(
            name="config",
            value=LocalPath(),
            doc="An ssh_config to use instead of `~/.ssh/config`.",
            example='config = "ssh_config"',
        ),
        Key(
            name="accept_new",
            value=Boolean(),
            doc="Accept and remember the key of a host that was never seen. Whoever answers the first time is trusted from then "
            "on; a key that changed is refused all the same.",
            example="accept_new = true",
            default=False,
        ),
    ),
    rules=(shorter("keepalive", "dead_after", "a live connection would count as lost between two questions"),),
)

DEPLOY: Final = Table(
    name="deploy",
    doc="Which hosts, and how many at a time.",
    keys=(
        Key(
            name="default",
            value=NAME,
            doc="The host or group that is meant where the command line names none. Without it, a command needs `--host` "
            "unless the config has a single host.",
            example='default = "prod"',
            model_field="default_hosts",
        ),
        Key(
            name="parallel",
            value=Integer(low=1, high=1000),
            doc="How many hosts are activated at a time. A failure stops those that have not begun.",
            example="parallel = 2",
            default=1,
        ),
    ),
)

HOSTS: Final = Table(
    name="hosts",
    named=True,
    name_pattern=patterns.HOST,
    name_accepts=NAME_ACCEPTS,
    doc="One table for each host. What is left out is decided by ssh_config; a key given here wins over it.",
    keys=(
        Key(
            name="address",
            value=Text(
                accepts='a host\'s name or IP address, such as "prod1.example.com" or "2001:db8::1"',
                pattern=patterns.ADDRESS,
                longest=253,
                hints=(
                    (r"[^@]*@", "the user goes into a key of its own: user"),
                    (r"[a-z]+://", "an address has no scheme in front: the host's name or IP address alone"),
                    (r"\[", "an IPv6 address stands without brackets here; a port goes into a key of its own: port"),
                    (r"[^:]*:[0-9]+$", "the port goes into a key of its own: port"),
                ),
            ),
            doc="Where the host is: a name that resolves, an alias of ssh_config, or an IP address.",
            example='address = "prod1.example.com"',
            default_text="the host's name in this config",
        ),
        Key(
            name="port",
            value=Integer(low=1, high=65535),
            doc="The port of its SSH server.",
            example="port = 22",
            default_text="as ssh_config says, else 22",
        ),
        Key(
            name="user",
            value=Text(
                accepts="a user's name without blanks, colons or commas, not beginning with a dash",
                pattern=patterns.SSH_USER,
                longest=256,
            ),
            doc="Who to log in as: root, or a user who may use sudo.",
            example='user = "deploy"',
            default_text="as ssh_config says",
        ),
        Key(
            name="identity_file",
            value=LocalPath(),
            doc="The private key to log in with.",
            example='identity_file = "~/.ssh/id_ed25519"',
            default_text="as ssh_config says, and what the agent holds",
        ),
        Key(
            name="known_hosts",
            value=LocalPath(),
            doc="The file that holds the host's key.",
            example='known_hosts = "known_hosts"',
            default_text="as ssh_config says, else `~/.ssh/known_hosts`",
        ),
        Key(
            name="proxy_jump",
            value=Text(
                accepts='one or more jump hosts, such as "bastion" or "me@bastion:2222", with commas between them',
                pattern=f"{patterns.HOP}(?:,{patterns.HOP})*",
            ),
            doc="The host, or hosts, to go through on the way.",
            example='proxy_jump = "bastion"',
            default_text="as ssh_config says",
        ),
        Key(
            name="groups",
            value=ListOf(item=NAME, accepts='a list of groups\' names, such as ["prod"]'),
            doc="Groups that the host belongs to; `--host GROUP` means all of them. A group is not named like a host.",
            example='groups = ["prod", "eu"]',
            default=[],
        ),
        Key(
            name="env",
            value=Variables(),
            doc="Variables for this host alone; they win over those of `[env]`.",
            example='env = { PORT = "4000" }',
            default={},
            private=True,
        ),
    ),
)
