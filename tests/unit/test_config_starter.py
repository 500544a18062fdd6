"""`deployer init` writes a config that loads, and overwrites nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deployer.config import find, init, load
from deployer.errors import UsageError


def test_the_starter_config_loads(tmp_path: Path) -> None:
    assert init(tmp_path, name="shop") == (
        "Wrote config/deploy.toml.",
        "Wrote config/env/prod.env.example.",
        "Added /config/env/*.env to .gitignore, so that secrets stay out of git.",
    )
    config = load(find(None, {}, tmp_path))
    assert (config.app.name, config.app.user) == ("shop", "shop")
    assert config.env.file == tmp_path / "config/env/prod.env"
    assert config.artifact.path == f"{tmp_path}/config/../_build/prod/shop-*.tar.gz"


@pytest.mark.parametrize(
    ("others", "started_by"),
    [('"../dist|"exec"|exec_start|"bin/migrate"', ""), ("_build|mix release|eval", "bin/server")],
    ids=["an Elixir release", "any other tarball"],
)
def test_the_starter_config_loads_with_all_that_is_off_in_it(tmp_path: Path, others: str, started_by: str) -> None:
    init(tmp_path, name="shop")
    path = tmp_path / "config/deploy.toml"
    text = path.read_text(encoding="utf-8")
    on = re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", text)
    assert on.count("\n#") < text.count("\n#") - 8
    path.write_text("".join(line for line in on.splitlines(keepends=True) if not re.search(others, line)))
    config = load(path)
    assert config.default_hosts == "prod"
    assert config.health.http
    assert config.service.exec_start == started_by
    assert config.service.migrate


def test_no_value_of_the_example_is_a_word_of_the_service(tmp_path: Path) -> None:
    # Values are masked wherever they are shown: the app's name among them would hide half the journal.
    init(tmp_path, name="shopping")
    text = (tmp_path / "config/env/prod.env.example").read_text(encoding="utf-8")
    assert "shopping" not in text
    assert re.findall(r"(?m)^\w+=(.+)$", text) == []


@pytest.mark.parametrize(
    ("name", "user"), [("9lives", "app"), ("shop@eu", "app"), ("x" * 33, "app"), ("my-shop", "my-shop")]
)
def test_the_user_is_one_that_a_host_can_have(tmp_path: Path, name: str, user: str) -> None:
    init(tmp_path, name=name)
    assert load(tmp_path / "config/deploy.toml").app.user == user


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config/env").mkdir(parents=True)
    (tmp_path / "config/deploy.toml").write_text("mine\n")
    (tmp_path / "config/env/prod.env.example").write_text("MINE=1\n")
    (tmp_path / ".gitignore").write_bytes(b"*.log")
    assert init(tmp_path, name="shop")[:2] == (
        "config/deploy.toml is there already and was left as it is.",
        "config/env/prod.env.example is there already and was left as it is.",
    )
    assert (tmp_path / "config/deploy.toml").read_text() == "mine\n"
    assert (tmp_path / "config/env/prod.env.example").read_text() == "MINE=1\n"
    assert (tmp_path / ".gitignore").read_text().startswith("*.log\n#")


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path, name="shop")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert init(tmp_path, name="other")[2] == ".gitignore keeps /config/env/*.env out of git already."
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert len(before) == 3


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.toml").symlink_to(tmp_path / "elsewhere")
    init(tmp_path, name="shop")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("config", "project"),
    [("deploy.toml", "{path}"), ("ops/eu/prod.toml", "{path}/ops/eu/../.."), ("a b/c.toml", "{path}/a b/..")],
)
def test_another_place_for_the_config_is_written_and_loads(tmp_path: Path, config: str, project: str) -> None:
    told = init(tmp_path, name="shop", config=config)
    folder = Path(config).parent
    assert told[:2] == (f"Wrote {config}.", f"Wrote {folder / 'env/prod.env.example'}.")
    assert not (tmp_path / "config").exists()
    found = load(tmp_path / config)
    assert found.env.file == tmp_path / folder / "env/prod.env"
    assert found.artifact.path == f"{project.format(path=tmp_path)}/_build/prod/shop-*.tar.gz"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    names = [str(folder / "env/prod.env"), config]
    ignored = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", *names], check=True, capture_output=True, text=True
    )
    assert ignored.stdout.splitlines() == names[:1]


def test_the_build_of_a_config_elsewhere_starts_at_the_project(tmp_path: Path) -> None:
    init(tmp_path, name="shop", config="deploy.toml")
    init(tmp_path, name="shop", config="ops/eu/prod.toml")
    assert '# build = "MIX_ENV=prod mix release' in (tmp_path / "deploy.toml").read_text()
    assert '# build = "cd ../../ && MIX_ENV=prod' in (tmp_path / "ops/eu/prod.toml").read_text()


@pytest.mark.parametrize("config", ["{path}/ops/shop.toml", "../ops/shop.toml"])
def test_a_config_outside_of_the_project_keeps_its_secrets_out_of_git_there(tmp_path: Path, config: str) -> None:
    (tmp_path / "shop").mkdir()
    told = init(tmp_path / "shop", config=config.format(path=tmp_path), name="shop")
    assert told[2] == f"Added /env/*.env to {tmp_path}/ops/.gitignore, so that secrets stay out of git."
    assert list((tmp_path / "shop").iterdir()) == []
    assert load(tmp_path / "ops/shop.toml").app.name == "shop"


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*/ops: Is a directory"):
        init(tmp_path, name="shop", config="ops/")


@pytest.mark.parametrize("name", ["a b", "a.service", "../a"])
def test_a_name_that_no_unit_can_have_writes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--name: "):
        init(tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    with pytest.raises(UsageError, match=r"cannot write .*/config: "):
        init(tmp_path, name="shop")


def test_git_ignores_the_env_file_and_keeps_its_example(tmp_path: Path) -> None:
    init(tmp_path, name="shop")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    names = ["config/env/prod.env", "config/env/prod.env.example", "config/deploy.toml"]
    ignored = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", *names], check=True, capture_output=True, text=True
    )
    assert ignored.stdout.splitlines() == ["config/env/prod.env"]


@pytest.mark.parametrize(
    ("called", "name"), [("My App", "my_app"), ("shop.service", "shop"), ("…", "my_app"), ("-x", "x")]
)
def test_a_directory_whose_name_no_service_can_have_is_blamed_itself(tmp_path: Path, called: str, name: str) -> None:
    directory = tmp_path / called
    directory.mkdir()
    with pytest.raises(UsageError, match="this directory's name cannot be the app's: ") as caught:
        init(directory)
    assert caught.value.hint == f"try: deployer init --name {name}"
    init(directory, name=name)


def test_a_directory_with_a_good_name_gives_it(tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    directory.mkdir()
    init(directory)
    assert load(directory / "config/deploy.toml").app.name == "shop"


def test_a_line_that_is_taken_back_further_down_is_written_again(tmp_path: Path) -> None:
    ignored = tmp_path / ".gitignore"
    ignored.write_text("/config/env/*.env\n!*.env\n")
    assert init(tmp_path, name="shop")[2].startswith("Added /config/env/*.env to .gitignore")
    assert ignored.read_text().endswith("\n/config/env/*.env\n")
    assert init(tmp_path, name="shop")[2] == ".gitignore keeps /config/env/*.env out of git already."
