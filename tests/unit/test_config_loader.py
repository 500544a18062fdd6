"""A config file becomes a Config, or all of its faults, each with its line."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from deployer import model
from deployer.config import find, load, loads
from deployer.config.faults import BAD, Spot
from deployer.config.free_tables import Directives, Variables
from deployer.errors import ConfigError

PATH = Path("/srv/shop/config/deploy.toml")
APP = '[app]\nname = "shop"\nuser = "ubuntu"\n'


def faults(text: str) -> tuple[str, ...]:
    """The details of the error that a text must give, without the path in front."""
    with pytest.raises(ConfigError) as caught:
        loads(text, path=PATH)
    return tuple(line.removeprefix(f"{PATH}:") for line in caught.value.details)


def faults_below_app(text: str) -> tuple[str, ...]:
    return faults(APP + text)


# --- what is read -------------------------------------------------------------------------------------------------


def test_the_smallest_config_has_every_default_of_the_model() -> None:
    assert loads(APP, path=PATH) == model.Config(
        path=PATH,
        app=model.App(name="shop", user="ubuntu", description="shop", root=PurePosixPath("/opt/shop"), keep=5),
    )


def test_every_key_arrives_in_the_model() -> None:
    text = """
[app]
name = "shop@eu"
user = "web"
description = "Shop: front end"
root = "/srv/apps/shop"
keep = 3
[artifact]
path = "../dist/shop-*.tar.gz"
sha256 = "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
build = \"\"\"
cd ..
make tarball\"\"\"
build_timeout = "1h"
allow_links = ["venv/bin/python*"]
[release]
version = "1.4.2-rc.1+7"
[service]
kind = "exec"
exec_start = "bin/server --port ${PORT}"
migrate = ["bin/migrate up", "bin/seed"]
migrate_timeout = 30
type = "notify"
hardening = "basic"
restart = "always"
restart_delay = 0
start_timeout = "2m"
stop_timeout = "1.5s"
[service.directives]
LimitNOFILE = 65536
PrivateTmp = false
NoNewPrivileges = true
ReadWritePaths = []
Environment = "A=b"
"Unit.After" = ["network-online.target", "postgresql.service"]
[env]
file = "env/prod.env"
command = "sops -d prod.env"
set = { PORT = 4000, PHX_SERVER = true, OFF = false, NAME = "a b" }
inherit = ["TOKEN"]
required = ["SECRET_KEY_BASE", "TOKEN"]
[health]
http = "http://[::1]:4000/health?full=1"
status = [200, 204]
body = "ok"
tcp = ":4000"
unix = "/run/shop/http.sock"
command = "true"
settle = "3s"
timeout = "2m"
interval = "500ms"
check_timeout = 1.5
[ssh]
connect_timeout = "4s"
keepalive = "2s"
dead_after = "9s"
step_timeout = "1m"
config = "ssh_config"
accept_new = true
[deploy]
default = "prod"
parallel = 4
[hosts.prod1]
address = "2001:db8::1"
port = 2222
user = "root"
identity_file = "/keys/id"
known_hosts = "known_hosts"
proxy_jump = "me@bastion:2200,inner"
groups = ["prod", "eu"]
env = { PORT = "4001" }
[hosts.prod2]
"""
    here = Path("/srv/shop/config")
    assert loads(text, path=PATH) == model.Config(
        path=PATH,
        app=model.App(
            name="shop@eu",
            user="web",
            description="Shop: front end",
            root=PurePosixPath("/srv/apps/shop"),
            keep=3,
        ),
        artifact=model.ArtifactSource(
            path="/srv/shop/config/../dist/shop-*.tar.gz",
            sha256="abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
            build="cd ..\nmake tarball",
            build_timeout_s=3600.0,
            allow_links=("venv/bin/python*",),
            version="1.4.2-rc.1+7",
        ),
        service=model.Service(
            kind="exec",
            exec_start="bin/server --port ${PORT}",
            migrate=("bin/migrate up", "bin/seed"),
            migrate_timeout_s=30.0,
            type="notify",
            hardening="basic",
            restart="always",
            restart_delay_s=0.0,
            start_timeout_s=120.0,
            stop_timeout_s=1.5,
            directives=(
                ("Service.LimitNOFILE", ("65536",)),
                ("Service.PrivateTmp", ()),
                ("Service.NoNewPrivileges", ("yes",)),
                ("Service.ReadWritePaths", ()),
                ("Service.Environment", ("A=b",)),
                ("Unit.After", ("network-online.target", "postgresql.service")),
            ),
        ),
        env=model.EnvSource(
            file=here / "env/prod.env",
            command="sops -d prod.env",
            set=(("PORT", "4000"), ("PHX_SERVER", "true"), ("OFF", "false"), ("NAME", "a b")),
            inherit=("TOKEN",),
            required=("SECRET_KEY_BASE", "TOKEN"),
        ),
        health=model.Health(
            http="http://[::1]:4000/health?full=1",
            status=(200, 204),
            body="ok",
            tcp="127.0.0.1:4000",
            unix="/run/shop/http.sock",
            command="true",
            settle_s=3.0,
            timeout_s=120.0,
            interval_s=0.5,
            check_timeout_s=1.5,
        ),
        ssh=model.Ssh(
            connect_timeout_s=4.0,
            keepalive_s=2.0,
            dead_after_s=9.0,
            step_timeout_s=60.0,
            config=here / "ssh_config",
            accept_new=True,
        ),
        hosts=(
            model.Host(
                name="prod1",
                address="2001:db8::1",
                port=2222,
                user="root",
                identity_file=Path("/keys/id"),
                known_hosts=here / "known_hosts",
                proxy_jump="me@bastion:2200,inner",
                groups=("prod", "eu"),
                env=(("PORT", "4001"),),
            ),
            model.Host(name="prod2", address="prod2"),
        ),
        default_hosts="prod",
        parallel=4,
    )


def test_a_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    config = loads(APP + '[artifact]\npath = "~/shop.tar.gz"\n[env]\nfile = "~/shop.env"\n', path=PATH)
    assert config.artifact.path == "/home/ana/shop.tar.gz"
    assert config.env.file == Path("/home/ana/shop.env")


def test_a_directory_with_signs_of_a_glob_is_no_glob(tmp_path: Path) -> None:
    directory = tmp_path / "a [1] *"
    directory.mkdir()
    (directory / "shop-1.tar.gz").touch()
    config = loads(APP + '[artifact]\npath = "shop-*.tar.gz"\n', path=directory / "deploy.toml")
    pattern = config.artifact.path.removeprefix("/")
    assert list(Path("/").glob(pattern)) == [directory / "shop-1.tar.gz"]


def test_a_relative_config_path_gives_absolute_local_paths() -> None:
    config = loads(APP + '[env]\nfile = "prod.env"\n', path=Path("config/deploy.toml"))
    assert config.env.file == Path.cwd() / "config/prod.env"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"4000"', "127.0.0.1:4000"),
        ("4000", "127.0.0.1:4000"),
        ('":4000"', "127.0.0.1:4000"),
        ('"[::1]:4000"', "[::1]:4000"),
        ('"db.local:1"', "db.local:1"),
    ],
)
def test_a_tcp_check_has_host_and_port(written: str, read: str) -> None:
    assert loads(f"{APP}[health]\ntcp = {written}\n", path=PATH).health.tcp == read


def test_two_hosts_may_share_an_address() -> None:
    hosts = '[hosts.a]\naddress = "10.0.0.1"\n[hosts.b]\naddress = "10.0.0.1"\n'
    assert [host.name for host in loads(APP + hosts, path=PATH).hosts] == ["a", "b"]


# --- faults ---------------------------------------------------------------------------------------------------------


def test_five_faults_are_told_at_once_each_with_its_line() -> None:
    text = """\
[app]
name = "shop"
usr = "ubuntu"
keep = 1

[health]
# the settle time is too long
http = "http://127.0.0.1:4000/"
settle = "2m"

[hosts.prod1]
address = "prod1.example.com"
port = "abc"
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, path=Path("config/deploy.toml"))
    assert caught.value.message == "config/deploy.toml has 5 faults; nothing was touched"
    assert caught.value.exit_code == 2
    assert caught.value.details == (
        'config/deploy.toml:1: app.user: missing: it must be given, such as user = "ubuntu"',
        'config/deploy.toml:3: app.usr: unknown key, did you mean "user"?',
        "config/deploy.toml:4: app.keep: 1 is not a whole number from 2 to 1000",
        "config/deploy.toml:9: health.settle: settle (120 s) must be shorter than timeout (60 s): nothing could settle in time",
        'config/deploy.toml:13: hosts.prod1.port: "abc" is not a whole number from 1 to 65535',
    )


def test_one_fault_is_told_in_the_singular() -> None:
    with pytest.raises(ConfigError, match="has a fault; nothing was touched"):
        loads(APP + "keep = 1\n", path=PATH)


def test_an_empty_file_lacks_what_is_required() -> None:
    assert faults("") == (
        '1: app.name: missing: it must be given, such as name = "my_phoenix_app"',
        '1: app.user: missing: it must be given, such as user = "ubuntu"',
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[apps]\n", '4: apps: unknown table, did you mean "app"?'),
        (
            "[zzz]\n",
            "4: zzz: unknown table; a config takes [app], [artifact], [release], [service], [env], [health], [ssh]",
        ),
        ("zzz = 1\n", "4: app.zzz: unknown key; [app] takes name, user, description, root, keep"),
        ('exec_start = "x"\n', "4: app.exec_start: unknown key here; it belongs into [service]"),
        ("[service]\nStop-Timeout = 3\n", '5: service.Stop-Timeout: unknown key, did you mean "stop_timeout"?'),
        ("[hosts.a]\nusre = 1\n", '5: hosts.a.usre: unknown key, did you mean "user"?'),
        ('[hosts."a b"]\n', '4: hosts."a b": a host\'s name must be a name: letters'),
        ("[hosts]\nprod1 = 3\n", "5: hosts.prod1: the value is not a table: write [hosts.prod1]"),
        ('[hosts]\naddress = "x"\n', "5: hosts.address: the value is not a host: address is a key of [hosts.NAME]"),
        ('[hosts]\naddres = "x"\n', "5: hosts.addres: the value is not a host: address is a key of [hosts.NAME]"),
        ("[[hosts]]\n", "4: hosts: the value is not a table of hosts"),
        ("[[service]]\n", "4: service: the value is not a table: write [service]"),
        (
            '[service]\nkind = "relx"\n',
            '5: service.kind: "relx" is not supported yet; what is: "auto", "mix" or "exec"',
        ),
        ('[service]\nkind = "elixir"\n', '5: service.kind: "elixir" is not "auto", "mix" or "exec"'),
        ("[service]\nkind = []\n", '5: service.kind: an empty list is not "auto", "mix" or "exec"'),
        ('[service]\nkind = "exec"\n', '5: service.kind: "exec" needs exec_start beside it: what to start'),
        (
            '[service]\ntemplate = "a"\nstop_timeout = "3m"\n',
            "6: service.stop_timeout: does not go with template: your own unit file",
        ),
        (
            '[service]\ntemplate = "a"\ntype = "exec"\n',
            "6: service.type: does not go with template: your own unit file",
        ),
        (
            '[service]\ntype = "oneshot"\nrestart = "always"\n',
            '6: service.restart: "always" is refused by systemd for a service of type "oneshot"',
        ),
        ("[service]\nrestart = false\n", '5: service.restart: false is not "on-failure", "always", "no"'),
        ("[service]\nmigrate = [1]\n", "5: service.migrate[0]: 1 is not a command on one line"),
        ('[service]\nmigrate = ["a",\n  "b\\n"]\n', '6: service.migrate[1]: "b\\n" is not a command on one line'),
        ('[service.directives]\n"unit.After" = "x"\n', '5: service.directives."unit.After": not a directive\'s name'),
        ('[service.directives]\n"Socket.A" = "x"\n', '5: service.directives."Socket.A": not a directive\'s name'),
        (
            '[service.directives]\nUnit.After = "x"\n',
            "5: service.directives.Unit: quote section and directive as one key",
        ),
        (
            '[service.directives]\nA = 1\n"Service.A" = 2\n',
            '6: service.directives."Service.A": given twice: A means Serv',
        ),
        ("[service.directives]\nA = 1.5\n", "5: service.directives.A: the value is not one line of text"),
        ('[artifact]\nurl = "http://x/y.tgz"\n', "5: artifact.url: http:// is refused"),
        ('[artifact]\nurl = "s3://x"\n', "5: artifact.url: the value is not an https:// or a file:/// URL"),
        ('[artifact]\nurl = "https://[::1"\n', "5: artifact.url: the value is not an https:// or a file:/// URL"),
        ('[artifact]\nurl = "https://[::12345]/x"\n', "5: artifact.url: the value is not"),
        (
            '[artifact]\nurl = "https://u:p/w@h/x"\n',
            "5: artifact.url: the value is not an https:// or a file:/// URL; in a",
        ),
        (
            f'[artifact]\nurl = "file:///a#sha256={"ab" * 32}"\nsha256 = "{"cd" * 32}"\n',
            "6: artifact.sha256: another digest",
        ),
        ('[artifact]\npath = "https://u:hunter2@h/x"\n', "5: artifact.path: an address is not a path or a glob"),
        ('[health]\ncheck_timeout = "0.4ms"\n', '5: health.check_timeout: "0.4ms" is not a duration'),
        ("[service]\nstop_timeout = 0.0001\n", "5: service.stop_timeout: 0.0001 is not a duration"),
        (
            '[service]\nhardening = "strickt"\n',
            '5: service.hardening: "strickt" is not "strict", "basic" or "off"; did you mean "strict"?',
        ),
        ('[service]\nrestart = "on_failure"\n', '5: service.restart: "on_failure" is not "on-failure"'),
        ('[service]\nhardening = "zzz"\n', '5: service.hardening: "zzz" is not "strict", "basic" or "off"'),
        (
            '[deploy]\ndefault = "prod"\n[hosts.prod1]\n',
            '5: deploy.default: "prod" is no host and no group; known are prod1; did you mean "prod1"?',
        ),
        ('[artifact]\nmax_unpacked = "4 gigs"\n', '5: artifact.max_unpacked: "4 gigs" is not a size such as'),
        ('[artifact]\nmax_unpacked = "2TiB"\n', '5: artifact.max_unpacked: "2TiB" is not a size'),
        ('[artifact]\nmax_unpacked = "0B"\n', '5: artifact.max_unpacked: "0B" is not a size'),
        ("[artifact]\nmax_members = 0\n", "5: artifact.max_members: 0 is not a whole number"),
        ('[env]\nfile = "file:///x"\n', "5: env.file: an address is not a path"),
        ('[health]\nhttp = "http://[::12345]:80/"\n', '5: health.http: "http://[::12345]:80/" is not a URL'),
        ('[health]\nhttp = "http://[1:2]/"\n', '5: health.http: "http://[1:2]/" is not a URL'),
        ('[health]\ntcp = "[1:2:3]:80"\n', '5: health.tcp: "[1:2:3]:80" is not a TCP address'),
        ('[artifact]\npath = "a"\nurl = "file:///a"\n', "6: artifact.url: does not go with path"),
        ('[artifact]\nbuild = "make"\n', "5: artifact.build: needs path beside it"),
        ('[artifact]\npath = "~nobody-here/x"\n', "5: artifact.path: this machine knows no user of that name"),
        ('[release]\nversion = "1/2"\n', '5: release.version: "1/2" is not a version'),
        ('[health]\nhttp = "https://x/"\n', "5: health.http: https:// is not spoken here; give http://, or command ="),
        ('[health]\nhttp = "http://me:pw@x/"\n', '5: health.http: "http://***@x/" is not a URL such as'),
        ('[health]\nhttp = "http://x:70000/"\n', '5: health.http: "http://x:70000/" is not a URL such as'),
        ("[health]\nstatus = 200\n", "5: health.status: needs http beside it"),
        ('[health]\nbody = "x"\n', "5: health.body: needs http beside it"),
        ("[health]\ninterval = 0\n", "5: health.interval: 0 is not a duration such as"),
        ('[health]\ninterval = "0s"\n', '5: health.interval: "0s" is not a duration such as'),
        ('[health]\ntimeout = "25h"\n', '5: health.timeout: "25h" is not a duration such as'),
        ("[health]\ntimeout = nan\n", "5: health.timeout: nan is not a duration such as"),
        ("[health]\ntimeout = true\n", "5: health.timeout: true is not a duration such as"),
        ("[health]\ntimeout = 3\n", "5: health.timeout: settle (5 s) must be shorter than timeout (3 s)"),
        ('[health]\nunix = "run/x"\n', '5: health.unix: "run/x" is not an absolute path'),
        ('[health]\ntcp = "x:0"\n', '5: health.tcp: "x:0" is not a TCP address'),
        ('[ssh]\nkeepalive = "1m"\n', "5: ssh.keepalive: keepalive (60 s) must be shorter than dead_after (15 s)"),
        ("[ssh]\naccept_new = 1\n", "5: ssh.accept_new: 1 is not true or false"),
        ('[deploy]\ndefault = "prod"\n', '5: deploy.default: "prod" is no host and no group; this config has no hosts'),
        (
            '[deploy]\ndefault = "prd"\n[hosts.a]\ngroups = ["prod"]\n',
            '5: deploy.default: "prd" is no host and no group; known are a, prod',
        ),
        ('[hosts.a]\n[hosts.b]\ngroups = [\n  "a"]\n', '7: hosts.b.groups[0]: "a" is the name of a host'),
        ('[hosts.a]\naddress = "me@x"\n', "5: hosts.a.address: the user goes into a key of its own: user"),
        ('[hosts.a]\naddress = "x:22"\n', "5: hosts.a.address: the port goes into a key of its own: port"),
        ('[hosts.a]\naddress = "[::1]"\n', "5: hosts.a.address: an IPv6 address stands without brackets here"),
        ('[hosts.a]\naddress = "-oProxyCommand=x"\n', '5: hosts.a.address: "-oProxyCommand=x" is not a host\'s name'),
        ('[hosts.a]\nuser = "-x"\n', '5: hosts.a.user: "-x" is not a user\'s name'),
        ("[hosts.a]\nport = 70000\n", "5: hosts.a.port: 70000 is not a whole number from 1 to 65535"),
        ("[hosts.a]\nport = 22.5\n", "5: hosts.a.port: 22.5 is not a whole number from 1 to 65535"),
        ("[hosts.a]\nport = true\n", "5: hosts.a.port: true is not a whole number from 1 to 65535"),
        ("[hosts.a]\nport = 2020-01-01\n", "5: hosts.a.port: a date or time is not a whole number"),
        ("[hosts.a]\nport = {}\n", "5: hosts.a.port: a table is not a whole number"),
        (f"[hosts.a]\nport = 0x{'f' * 5000}\n", "5: hosts.a.port: a number of more than 64 bits is not a whole number"),
    ],
)
def test_a_fault_names_line_key_what_was_found_and_what_is_accepted(text: str, fault: str) -> None:
    (told,) = faults_below_app(text)
    assert told.startswith(fault)


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "a b", "a/b", "a.service", "a@", "ä", "a\\n", "x" * 181, "../a", "$(id)", "a;b"]
)
def test_a_name_that_no_unit_can_have_is_refused(name: str) -> None:
    (told,) = faults(f'[app]\nname = "{name}"\nuser = "u"\n')
    assert told.startswith("2: app.name: ")


@pytest.mark.parametrize("name", ["a", "_a", "9a", "a-b", "a@b", "my.app", "x" * 180])
def test_a_name_that_a_unit_can_have_is_accepted(name: str) -> None:
    assert loads(f'[app]\nname = "{name}"\nuser = "u"\n', path=PATH).app.name == name


@pytest.mark.parametrize(
    "root",
    [
        "/",
        "/opt",
        "/etc",
        "/usr",
        "/srv",
        "/home",
        "opt/a",
        "/opt/../etc",
        "/opt/./a",
        "/opt//a",
        "/opt/a/",
        "/tmp/a",
        "/run/a",
        "/proc/1",
        "/dev/shm/a",
        "/sys/a",
        "/opt/a b",
        "/opt/$(id)",
        "/opt/a%n",
        "",
        "/opt/-a/../b",
    ],
)
def test_a_root_that_is_not_a_directory_of_its_own_is_refused(root: str) -> None:
    (told,) = faults_below_app(f'root = "{root}"\n')
    assert told.startswith(f'4: app.root: "{root}" is not an absolute path')


@pytest.mark.parametrize(
    "root", ["/opt/shop", "/srv/shop", "/home/web/shop", "/data", "/usr/local/shop@eu", "/opt/a..b"]
)
def test_a_root_of_its_own_is_accepted(root: str) -> None:
    assert loads(f'{APP}root = "{root}"\n', path=PATH).app.root == PurePosixPath(root)


@pytest.mark.parametrize(
    "value",
    [
        '"a\\nb"',
        '"a\\u0000b"',
        '"a\\u001bb"',
        '"a\\u007f"',
        '"a\\u000b "',
        '"a\\\\"',
        '["ok", "a\\nb"]',
        "1979-05-27",
        "{ a = 1 }",
        "[1]",
    ],
)
def test_a_directive_that_would_break_its_line_is_refused(value: str) -> None:
    (told,) = faults_below_app(f"[service.directives]\nExecStartPre = {value}\n")
    assert told.startswith("5: service.directives.ExecStartPre: the value is not one line of text")


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f'[env]\nset = {{ A = ["{SECRET}"] }}\n',
        f'[env]\nset = {{ A = "{SECRET}\\u0000" }}\n',
        f'[env]\nset = "{SECRET}"\n',
        f'[env]\nset = {{ "A B" = "{SECRET}" }}\n',
        f'env = "{SECRET}"\n',
        f'[env]\nfile = ["{SECRET}"]\n',
        f'[env]\ncommand = ["{SECRET}"]\n',
        f'[env]\ninherit = ["A={SECRET}"]\n',
        f'[env]\nrequired = "{SECRET}"\n',
        f'[env]\nunknown = "{SECRET}"\n',
        f'[hosts.a]\nenv = "{SECRET}"\n',
        f'[hosts.a]\nenv = {{ A = ["{SECRET}"] }}\n',
        f'[hosts.a.env]\nA = {{ b = "{SECRET}" }}\n',
        f'[hosts.a]\nenv = ["A={SECRET}"]\n',
        f'[hosts]\na = "{SECRET}"\n',
        f'[service.directives]\nEnvironment = "A={SECRET}\\n"\n',
        f'[artifact]\nurl = "ftp://me:{SECRET}@x/y"\n',
        f'[artifact]\nurl = "http://x/y?token={SECRET}"\n',
        f'[health]\nhttp = "http://me:{SECRET}@x/"\n',
        f'[health]\nhttp = "http://me:{SECRET}/?# x@x/"\n',
        f'[health]\nhttp = "http://me:/{SECRET}@y@x/"\n',
        f'[artifact]\npath = "https://me:{SECRET}@x/y.tgz"\n',
        f'[artifact]\nallow_links = ["\u0001https://me:/{SECRET}@x/y.tgz"]\n',
        f"[env]\nset = {{ A = {SECRET} }}\n",
        f'[env]\nset = {{ A = "{SECRET} }}\n',
        f'[env.set]\nA = "{SECRET}"\nA = "{SECRET}"\n',
    ],
)
def test_no_secret_is_in_a_fault(text: str) -> None:
    top, rest = (text, APP) if text.startswith("env =") else (APP, text)
    with pytest.raises(ConfigError) as caught:
        loads(top + rest, path=PATH)
    error = caught.value
    assert SECRET not in f"{error!r} {error} {error.hint} {error.details} {error.__cause__} {error.__context__}"


@pytest.mark.parametrize(
    "value", [{"A": f"{SECRET}\n\0"}, {"A": [[SECRET]]}, {"A": {"b": SECRET}}, {"a b": SECRET}, SECRET, [SECRET]]
)
@pytest.mark.parametrize("table", [Variables(), Directives()])
def test_a_table_of_variables_or_directives_shows_no_value_wherever_it_stands(
    table: Variables | Directives, value: object
) -> None:
    spot = Spot()
    assert table.read(value, spot) is BAD
    assert spot.faults
    assert SECRET not in str(spot.faults)


def test_no_secret_is_in_the_repr_of_a_config() -> None:
    text = f"""{APP}
[artifact]
url = "https://me:{SECRET}@x/y.tgz?token={SECRET}"
[service.directives]
LoadCredential = "{SECRET}"
[env]
command = "curl -H {SECRET}"
set = {{ A = "{SECRET}" }}
[hosts.a]
env = {{ A = "{SECRET}" }}
"""
    config = loads(text, path=PATH)
    assert SECRET in config.artifact.url
    assert SECRET not in repr(config)


def test_the_search_for_secrets_can_find_one() -> None:
    assert SECRET in "".join(faults_below_app(f'[hosts.a]\nport = "{SECRET}"\n'))


def test_what_is_shown_of_a_value_has_no_control_characters_and_fits_a_line() -> None:
    (told,) = faults_below_app(f'[hosts.a]\nport = "\\u001b[31m\\u009b{"x" * 500}"\n')
    assert told.isprintable()
    assert len(told) < 160


def test_a_key_with_control_characters_is_shown_without_them() -> None:
    (told,) = faults_below_app('"a\\u001b[2J" = 1\n')
    assert told.isprintable()


# --- what is no TOML ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[app]\nname = shop\n", "2: not TOML: a text needs quotes around it, and true and false are written small"),
        ("[app]\nname = True\n", "2: not TOML: a text needs quotes around it, and true and false are written small"),
        ('[app]\nname = "shop\n', "2: not TOML: illegal character '\\n' (column 13)"),
        ('[app]\nname = "a"\n\nname = "b"\n', "4: app.name: given twice, first on line 2"),
        ("[hosts.a]\nport = 1\n[hosts.a]\n", "3: hosts.a: given twice, first on line 1"),
        ("[app\n", "1: not TOML: "),
        ("a = " + "9" * 5000, "1: not readable as TOML: ValueError"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, fault: str) -> None:
    (told,) = faults(text)
    assert told.startswith(fault)


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deploy.toml"
    path.write_text(APP + 'description = "Läden"\r\n', encoding="utf-8")
    assert load(path).app.description == "Läden"
    assert load(path).path == path


def test_faults_of_a_file_below_the_current_directory_are_told_as_one_would_type_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config" / "deploy.toml"
    path.parent.mkdir()
    path.write_text("[app]\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.message == "config/deploy.toml has 2 faults; nothing was touched"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf[app]\n", "begins with a byte order mark"),
        ("[app]\n".encode("utf-16"), "begins with a byte order mark"),
        (b"[app]\nname = 'a'\nuser = 'J\xfcrgen'\n", "is not UTF-8: a byte on line 3"),
    ],
)
def test_a_file_of_another_encoding_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "deploy.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load(path)
    assert str(path) in caught.value.hint


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*deploy\.toml"):
        load(tmp_path / "deploy.toml")


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        load(tmp_path / "file" / "deploy.toml")


def test_a_name_that_no_file_can_have_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load(find("x" * 300, {}, tmp_path))


# --- which file -----------------------------------------------------------------------------------------------------


def test_the_option_wins_over_the_variable_and_that_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for name in ("a.toml", "b.toml", "config/deploy.toml"):
        (tmp_path / name).touch()
    assert find("a.toml", {"DEPLOYER_CONFIG": "b.toml"}, tmp_path) == tmp_path / "a.toml"
    assert find(None, {"DEPLOYER_CONFIG": str(tmp_path / "b.toml")}, tmp_path) == tmp_path / "b.toml"
    assert find(None, {"DEPLOYER_CONFIG": ""}, tmp_path) == tmp_path / "config/deploy.toml"


def test_a_config_that_is_missing_leads_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no config/deploy\.toml in ") as caught:
        find(None, {}, tmp_path)
    assert "deployer init" in caught.value.hint


def test_a_config_of_a_directory_above_is_found_for_who_stands_below_it(tmp_path: Path) -> None:
    below = tmp_path / "my shop" / "lib" / "web"
    below.mkdir(parents=True)
    config = tmp_path / "my shop" / "config" / "deploy.toml"
    config.parent.mkdir()
    config.touch()
    with pytest.raises(ConfigError) as caught:
        find(None, {}, below)
    above = tmp_path / "my shop"
    assert caught.value.hint == f"there is one above: cd '{above}' (or name it with --config '{config}')"


@pytest.mark.parametrize(
    ("explicit", "environ", "message"),
    [
        ("x.toml", {}, "no file x.toml, which --config names"),
        (None, {"DEPLOYER_CONFIG": "y.toml"}, r"no file y.toml, which \$DEPLOYER_CONFIG names"),
        ("", {}, "--config is empty"),
        ("~nobody-here/x", {}, "no file ~nobody-here/x, which --config names"),
    ],
)
def test_a_named_config_that_is_missing_says_who_named_it(
    tmp_path: Path, explicit: str | None, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        find(explicit, environ, tmp_path)
    assert ("deployer init" in caught.value.hint) == (explicit != "")


@pytest.mark.parametrize("name", ["deployer-shop", "deployer-recover@shop", "deployer-"])
def test_a_name_of_our_own_units_is_refused(name: str) -> None:
    (told,) = faults(f'[app]\nname = "{name}"\nuser = "u"\n')
    assert told.startswith("2: app.name: units whose name begins with deployer- are deployer's own")


@pytest.mark.parametrize("name", ["deployer", "deployershop", "my-deployer-shop"])
def test_a_name_that_is_only_like_ours_is_good(name: str) -> None:
    assert loads(f'[app]\nname = "{name}"\nuser = "u"\n', path=PATH).app.name == name
