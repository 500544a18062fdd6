"""Guards of a host, each with its twin: the same without the guard, and the harm that it kept away.

The twins of what bash alone can show are in `tests/local/test_twins.py`; the table of all is in docs/testing.md.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployer.sandbox import Lab, SandboxHost
from tests.host.faults.filling import full
from tests.host.project import OnHost, Project, wait_for
from tests.twins import Guards, program_patched, program_without, without

QUICK = 'tcp = 4000\nsettle = "300ms"\ntimeout = "20s"\ninterval = "100ms"'
KILL = "systemctl kill --kill-who=all --signal=KILL deployer-shop.service"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A host on which 1.0.0 serves; 2.0.0, with another environment, and 3.0.0, which cannot start, are staged."""

    on_host: OnHost
    project: Project
    ids: dict[str, str]

    def sh(self, command: str) -> str:
        return self.on_host.sh(command)

    def place(self, version: str) -> str:
        return f"/opt/shop/releases/{self.ids[version]}/.deployer"

    def as_before(self) -> None:
        """Put the host back to how it was prepared, whatever a test has made of it."""
        self.sh(
            "systemctl kill --kill-who=all --signal=KILL 'deployer-shop*.service' 2>/dev/null; "
            "systemctl stop 'deployer-shop*.service' shop.service deployer-recover@shop.service; "
            "rm -rf /opt/shop /etc/default/shop.env /run/deployer/shop {/run,/etc}/systemd/system.control; "
            "tar -C / -xf /root/prepared && systemctl daemon-reload && systemctl reset-failed && systemctl start shop.service"
        )
        wait_for(lambda: self.on_host.version == "1.0.0")

    def take_out(self, version: str, guards: Guards) -> None:
        """Take guards out of the host program of a release."""
        self.write(f"{self.place(version)}/activate", without(self.program(version), guards))

    def program(self, version: str) -> str:
        return self.sh(f"cat {self.place(version)}/activate") + "\n"

    def write(self, file: str, text: str) -> None:
        self.sh(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d >{file}")

    def launch(self, version: str, *, number: int = 1, expect: str = "1.0.0", migrate: str = "no") -> str:
        """Launch as a client would that planned with `expect` committed; return the first word of the answer."""
        words = f"t{number} {self.ids[expect]} deploy 5 {migrate} me"
        said = self.sh(f"{self.place(version)}/activate launch {words} || true")
        return said.splitlines()[-1].partition(" ")[0]

    def is_over(self) -> None:
        wait_for(lambda: self.sh("systemctl show -P ActiveState deployer-shop.service") == "inactive", timeout_s=60)

    def has_committed(self, version: str) -> bool:
        return self.on_host.current == self.ids[version]


@pytest.fixture(scope="module")
def once(lab: Lab, host: SandboxHost, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    project = Project(directory=tmp_path_factory.mktemp("twins"), hosts=(host,), health=QUICK).write()
    on_host = OnHost(lab=lab, host=host, project=project)
    assert project.deploy("1.0.0").status == 0
    project.env = 'set = { GREETING = "salut" }'
    project.write()
    assert project.deploy("2.0.0", "", "--no-activate").status == 0
    assert project.deploy("3.0.0", "boot", "--no-activate").status == 0
    on_host.sh("tar -C / -cf /root/prepared opt/shop etc/systemd/system etc/default/shop.env")
    ids = {name.partition("-")[0]: name for name in on_host.sh("ls /opt/shop/releases").split()}
    return Prepared(on_host=on_host, project=project, ids=ids)


@pytest.fixture
def serving(once: Prepared) -> Prepared:
    once.as_before()
    return once


# -- activations that are cut off -----------------------------------------------------------------------------------------


def on_trial(serving: Prepared, guards: Guards) -> None:
    """2.0.0 is on trial, for long enough to strike, by a host program without these guards."""
    serving.take_out("2.0.0", guards)
    serving.sh(
        f"sed -i 's/^SETTLE_MS=.*/SETTLE_MS=80000/; s/^TIMEOUT_MS=.*/TIMEOUT_MS=90000/' {serving.place('2.0.0')}/settings"
    )
    assert serving.launch("2.0.0") == "launched"
    wait_for(lambda: serving.on_host.version == "2.0.0")


def test_without_the_clean_up_of_its_unit_a_killed_trial_would_stay(serving: Prepared) -> None:
    """Twin of test_a_trial_that_is_cut_off_goes_back_by_itself."""
    on_trial(serving, {'"${after[@]}" -p "RuntimeMaxSec=$limit"': '-p "RuntimeMaxSec=$limit"'})
    serving.sh(KILL)
    # The clean-up is part of the unit's life: once that is over, nobody comes any more.
    serving.is_over()
    assert serving.on_host.version == "2.0.0"
    assert serving.has_committed("1.0.0")
    assert not serving.on_host.is_over()


@pytest.mark.parametrize("by_both", [True, False])
def test_without_the_release_of_before_a_removed_release_could_not_be_cleared_up(
    serving: Prepared, *, by_both: bool
) -> None:
    """And twin: with it, the program of the release of before goes back from one that somebody has removed."""
    second = '[[ -z $2 ]] || after+=(-p "ExecStopPost=-$ROOT/releases/$2/.deployer/activate recover")'
    on_trial(serving, {} if by_both else {second: ""})
    serving.sh(f"rm -rf {serving.place('2.0.0').removesuffix('/.deployer')}; {KILL}")
    serving.is_over()
    assert serving.on_host.version == ("1.0.0" if by_both else "2.0.0")
    assert serving.on_host.is_over() == by_both


def test_a_trial_outside_of_run_would_outlive_a_power_cut(lab: Lab, serving: Prepared) -> None:
    """Twin of test_a_power_cut_in_the_trial_boots_the_release_of_before."""
    on_trial(serving, {"TRIAL_PATH=/run/systemd/system.control/": "TRIAL_PATH=/etc/systemd/system.control/"})
    serving.sh("sync")
    lab.powercut(serving.on_host.host.name)
    lab.boot(serving.on_host.host.name)
    wait_for(lambda: serving.on_host.version == "2.0.0")
    assert serving.has_committed("1.0.0")


def halfway(serving: Prepared) -> None:
    """A commit of 2.0.0 stands where the new environment has its name already, and the new unit has not."""
    whole = serving.program("2.0.0")
    stop = "rename() { [[ $1 != /etc/systemd/system/shop.service ]] || sleep 1000; mv -fT"
    serving.take_out("2.0.0", {"rename() { mv -fT": stop})
    assert serving.launch("2.0.0") == "launched"
    wait_for(lambda: serving.sh("pgrep -xf 'sleep 1000' || true"))
    # What would finish it is the program as it was.
    serving.write(f"{serving.place('2.0.0')}/activate", whole)


def is_mixed(serving: Prepared) -> bool:
    files = f"cmp -s /etc/default/shop.env {serving.place('2.0.0')}/env"
    files += f" && cmp -s /etc/systemd/system/shop.service {serving.place('1.0.0')}/committed.service"
    return serving.sh(f"{files} && echo yes || true") == "yes"


@pytest.mark.parametrize("recorded", [True, False])
def test_without_the_record_a_commit_that_is_cut_off_would_stay_a_mixture(serving: Prepared, *, recorded: bool) -> None:
    """And twin: with it, the same cut is finished."""
    halfway(serving)
    assert is_mixed(serving)
    if not recorded:
        serving.sh("rm /opt/shop/committing")
    serving.sh(KILL)
    serving.is_over()
    assert is_mixed(serving) != recorded
    assert serving.on_host.is_consistent() == recorded


@pytest.mark.parametrize("guarded", [True, False])
def test_without_the_boot_guard_a_host_would_boot_a_mixture(lab: Lab, serving: Prepared, *, guarded: bool) -> None:
    """And twin: with it, the same cut is finished at boot."""
    halfway(serving)
    if not guarded:
        serving.sh("rm /etc/systemd/system/multi-user.target.wants/deployer-recover@shop.service")
    serving.sh("sync")
    lab.powercut(serving.on_host.host.name)
    lab.boot(serving.on_host.host.name)
    wait_for(lambda: serving.on_host.version == ("2.0.0" if guarded else "1.0.0"))
    if guarded:
        wait_for(serving.on_host.is_settled)
    assert is_mixed(serving) != guarded
    assert serving.on_host.is_consistent() == guarded


@pytest.mark.parametrize("patient", [True, False])
def test_without_another_try_what_the_guard_cannot_finish_would_stay(serving: Prepared, *, patient: bool) -> None:
    """And twin: with it, systemd has the guard come again. That it then succeeds, faults/test_unfinished.py waits for."""
    halfway(serving)
    guard = "deployer-recover@shop.service"
    if not patient:
        serving.sh(f"sed -i /^Restart=/d /etc/systemd/system/{guard}; systemctl daemon-reload")
    serving.sh(f"mount --bind /etc /etc && mount -o remount,bind,ro /etc; {KILL}")
    try:
        # Both of the activation's clean-ups start the guard; behind them, nobody does but systemd.
        serving.is_over()
        ends = "auto-restart" if patient else "failed"
        wait_for(lambda: serving.sh(f"systemctl show -P SubState {guard}") == ends, timeout_s=60)
    finally:
        serving.sh(f"systemctl stop {guard}; umount /etc")


# -- two at a time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [True, False])
def test_without_the_units_name_as_a_lock_two_activations_would_run_at_once(serving: Prepared, *, locked: bool) -> None:
    """And twin: with it, the second is told that the first is there. Without it, each has a name of its own."""
    of_its_own = {'--unit="$ACTIVATION_UNIT" --service-type': '--unit="$OURS-$1.service" --service-type'}
    on_trial(serving, {} if locked else of_its_own)
    assert serving.launch("2.0.0", number=2) == ("error" if locked else "launched")
    units = serving.sh("systemctl list-units --plain --no-legend --state=active,activating 'deployer-shop*.service'")
    assert len(units.splitlines()) == (1 if locked else 2)


STALE = {
    'if [[ $(committed_id) != "$2" ]]; then': "if false; then",
    'if [[ $FROM != "$EXPECT" ]]; then': "if false; then",
}
FROZEN = {
    "if [[ -n $frozen && $why != rollback ]]; then": "if false; then",
    "if [[ -n $frozen && $WHYFOR != rollback ]]; then": "if false; then",
}


@pytest.mark.parametrize("guards", [STALE, FROZEN], ids=["stale", "frozen"])
def test_without_the_hosts_own_look_a_plan_of_yesterday_would_be_carried_out(serving: Prepared, guards: Guards) -> None:
    """Twin of those that come too late in test_trouble.py, and of TestLock in test_marks.py."""
    serving.sh('echo \'{"who":"ada","reason":"the sale","until_s":null}\' >/opt/shop/frozen')
    if guards is STALE:
        serving.sh("rm /opt/shop/frozen")
    expect = "3.0.0" if guards is STALE else "1.0.0"
    assert serving.launch("2.0.0", expect=expect) == "error"
    serving.take_out("2.0.0", guards)
    assert serving.launch("2.0.0", expect=expect) == "launched"
    serving.is_over()
    assert serving.has_committed("2.0.0")


def test_without_the_look_at_systemds_answer_an_untried_release_would_be_committed(serving: Prepared) -> None:
    """Twin of test_a_trial_that_systemd_did_not_take_is_never_committed: its unit lies where systemd does not look."""
    elsewhere = {"TRIAL_PATH=/run/systemd/system.control/": "TRIAL_PATH=/run/systemd/nowhere/"}
    serving.take_out("3.0.0", elsewhere)
    assert serving.launch("3.0.0") == "launched"
    serving.is_over()
    assert serving.has_committed("1.0.0"), "with the guard"
    serving.take_out("3.0.0", {'[[ ${STATE[FragmentPath]:-} == "$TRIAL_PATH" ]]\n': "true\n"})
    assert serving.launch("3.0.0") == "launched"
    serving.is_over()
    assert serving.has_committed("3.0.0"), "which cannot even start"


def test_without_its_limit_a_migration_that_hangs_would_be_waited_for_still(serving: Prepared) -> None:
    """Twin of test_a_migration_that_hangs_is_ended."""
    serving.take_out("2.0.0", {'-p "RuntimeMaxSec=$2" -p TimeoutStopSec=5': "-p TimeoutStopSec=5"})
    serving.sh(f"echo \"MIGRATE=('sleep 1000') MIGRATE_TIMEOUT_S=1\" >>{serving.place('2.0.0')}/settings")
    assert serving.launch("2.0.0", migrate="yes") == "launched"
    age = (
        "unit=deployer-shop:trial-migrate.service; read -r up _ </proc/uptime; "
        "since=$(systemctl show -P ExecMainStartTimestampMonotonic $unit); "
        '[[ $(systemctl show -P ActiveState $unit) == active ]] && echo "$((${up%.*} - since / 1000000))" || echo 0'
    )
    wait_for(lambda: int(serving.sh(age)) >= 4)


@pytest.mark.parametrize("reserved", [True, False])
def test_without_the_reserve_a_full_disk_would_leave_a_commit_unfinished(serving: Prepared, *, reserved: bool) -> None:
    """And twin: with it, there is room for the line of the ledger, which is the last that a commit adds."""
    serving.sh("cp -a /opt /opt.kept && mount -t tmpfs -o mode=0755 none /opt && cp -a /opt.kept/. /opt/")
    try:
        if not reserved:
            serving.take_out("2.0.0", {'head -c 4096 /dev/zero >"$RESERVE" && sync -- "$RESERVE" &&': "true &&"})
        halfway(serving)
        # The ledger's last block has no room either.
        ledger = "/opt/shop/ledger.jsonl"
        pad = f'printf \'{{"event":"%0*d"}}\\n\' $((8192 - $(stat -c %s {ledger}) % 4096 - 13)) 0 >>{ledger}'
        assert serving.sh(f"{pad}; echo $(($(stat -c %s {ledger}) % 4096))") == "0"
        with full(serving.on_host, "/opt", "blocks"):
            serving.sh(KILL)
            serving.is_over()
            left = serving.sh("ls /opt/shop/committing 2>/dev/null || true")
            good = serving.sh(f'grep -c \'"event":"good","token":"t1"\' {ledger} || true')
        assert (left, good) == (("", "1") if reserved else ("/opt/shop/committing", "0"))
    finally:
        serving.sh("systemctl stop deployer-recover@shop.service shop.service; umount -l /opt; rm -rf /opt.kept")


# -- what comes to a host ---------------------------------------------------------------------------------------------------


def test_without_the_digest_a_damaged_upload_would_be_a_release(serving: Prepared) -> None:
    """Twin of test_a_damaged_rest_of_an_upload_is_noticed_and_started_anew.

    A damage that gzip does not see: what lies there of an upload is another tarball of the same size.
    """
    path, other = serving.project.tarball("4.0.0"), serving.project.tarball("6.6.6").read_bytes()
    size = max(len(other), path.stat().st_size)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    encoded = base64.b64encode(other.ljust(size, b"\0")).decode()
    serving.sh(f"echo {encoded} | base64 -d >/opt/shop/incoming/{digest}.part")
    unchecked = {"stage": {'if [[ ${got%% *} != "$DIGEST" ]]; then': "if false; then"}}
    environ = program_without(serving.project.directory, unchecked)
    done = serving.project.run("deploy", "--artifact", str(path), environ=environ)
    assert done.status == 0, done.text
    assert serving.on_host.current.startswith("4.0.0-")
    assert serving.on_host.version == "6.6.6"


def test_without_systemds_own_look_a_directive_that_it_does_not_know_would_be_passed_over(
    serving: Prepared, tmp_path: Path
) -> None:
    """Twin of test_a_unit_that_the_host_does_not_accept_is_never_started: it is served without the limit it asks for."""
    service = f'{serving.project.service}\ndirectives = {{ MemoryMaximum = "1G" }}'
    project = replace(serving.project, directory=tmp_path, service=service).write()
    blind = {"verify": {"if [[ -n $ours ]] || { ((status != 0)) && [[ -z $others ]]; }; then": "if false; then"}}
    words = ("deploy", "--artifact", str(project.tarball("5.0.0")))
    done = project.run(*words, environ=program_without(tmp_path, blind))
    assert (done.status, serving.on_host.version) == (0, "5.0.0"), done.text
    assert serving.sh("grep MemoryMaximum /etc/systemd/system/shop.service") == "MemoryMaximum=1G"
    assert serving.on_host.unit("MemoryMax") == "infinity"


def test_without_the_refusal_a_unit_of_the_hosts_own_would_be_hidden(
    lab: Lab, serving: Prepared, tmp_path: Path
) -> None:
    """Twin of test_a_unit_of_the_hosts_own_is_never_hidden_by_ours, with a unit that nobody misses."""
    project = Project(directory=tmp_path, hosts=serving.project.hosts, name="own", health='settle = "300ms"').write()
    own = OnHost(lab=lab, host=serving.on_host.host, project=project)
    there = "/usr/lib/systemd/system/own.service"
    serving.write(there, "[Service]\nExecStart=/bin/sleep 4711\n")
    serving.sh("systemctl daemon-reload && systemctl start own.service")
    words = ("deploy", "--artifact", str(project.tarball("1.0.0", "noport")))
    try:
        before = own.unit("FragmentPath")
        assert before.endswith(there.removeprefix("/usr"))
        assert f"own already: {before}" in project.run(*words).of("failure")[0]["message"]
        assert serving.sh("pgrep -xf '/bin/sleep 4711'") == own.unit("MainPID")
        unrefused = (
            "import deployer.refusals as them\nwhole = them.problems\n"
            "them.problems = lambda *a: tuple(each for each in whole(*a) if 'own already' not in each.message)\n"
        )
        done = project.run(*words, environ=program_patched(tmp_path, unrefused))
        assert done.status == 0, done.text
        assert own.unit("FragmentPath") == "/etc/systemd/system/own.service"
        assert serving.sh("pgrep -xf '/bin/sleep 4711' || echo gone") == "gone"
    finally:
        serving.sh(
            f"systemctl disable --now own.service; rm -rf {there} /opt/own /run/deployer/own /etc/default/own.env "
            "/etc/systemd/system/{own,deployer-recover@own}.service "
            "/etc/systemd/system/multi-user.target.wants/deployer-recover@own.service; systemctl daemon-reload"
        )


def test_without_its_settings_a_one_off_would_run_as_root(serving: Prepared) -> None:
    """Twin of TestRun.test_sees_exactly_what_the_service_sees."""
    words = ("run", "id -un; touch /etc/shop-was-here 2>/dev/null && echo written")
    done = serving.project.run(*words)
    assert [line["text"] for line in done.of("command")] == ["app"], done.text
    elsewhere = {"one_off": {"directory=/run/systemd/system/$OURS:run-.service.d": "directory=/run/nowhere.d"}}
    serving.sh("rm -rf /run/systemd/system/deployer-shop:run-.service.d; systemctl daemon-reload")
    done = serving.project.run(*words, environ=program_without(serving.project.directory, elsewhere))
    assert [line["text"] for line in done.of("command")] == ["root", "written"], done.text
    serving.sh("rm -r /etc/shop-was-here /run/nowhere.d")
