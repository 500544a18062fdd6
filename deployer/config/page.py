"""The page of all keys, `docs/configuration.md`; `python -m deployer.config.page` prints it."""

from __future__ import annotations

import json
import sys
from typing import Final

from deployer.config import schema
from deployer.config.definition import Key, Table

_HEAD: Final = """\
# Configuration

<!-- Made by `python -m deployer.config.page > docs/configuration.md`; change the definition in deployer/config/keys/. -->

One TOML file says what is deployed, how it runs and where. It is `config/deploy.toml` below the directory you are in,
unless `$DEPLOYER_CONFIG` or `--config FILE` names another. `deployer init` writes one to start from;
[`config/deploy.toml`](../config/deploy.toml) of this project shows every key in its place.

The smallest one that deploys:

```toml
[app]
name = "shop"
user = "shop"

[hosts.prod1]
address = "prod1.example.com"
```

```console
$ deployer deploy --artifact shop-1.0.0.tar.gz
```

**Faults.** The whole file is checked before anything is touched, and all of its faults are told at once, each with its line:

```text
config/deploy.toml has 3 faults; nothing was touched
config/deploy.toml:2: app.nmae: unknown key, did you mean "name"?
config/deploy.toml:9: health.settle: settle (90 s) must be shorter than timeout (60 s): nothing could settle in time
config/deploy.toml:12: hosts.prod1.port: "abc" is not a whole number from 1 to 65535
```

What is found is shown beside what is accepted, but nothing that stands in an environment ever is.

**Local paths** start at the directory of the config file, not at the one you are in: beside `config/deploy.toml`, `env/prod.env` is
`config/env/prod.env`, and a build's output is `../_build/…`. A leading `~` is your home directory.

**Durations** are texts such as `"5s"`, `"1.5s"`, `"2m"`, `"1h30m"` and `"300ms"`, or plain numbers of seconds.

**Sizes** are texts such as `"500MB"`, `"1.5GB"` and `"4GiB"`, or plain numbers of bytes. `kB`, `MB` and `GB` are powers of ten, `KiB`, `MiB` and
`GiB` powers of two.

**Editors.** A JSON Schema comes with the package. To have keys completed and checked while you type (in any editor that uses
[Taplo](https://taplo.tamasfe.dev/), such as VS Code with Even Better TOML), put it beside the config and name it on the first line:

```console
$ python -m deployer.config.jsonschema > config/deploy.schema.json
$ sed -i '1i #:schema ./deploy.schema.json' config/deploy.toml
```

With pipx, `python` is the one of its environment: `$(pipx environment --value PIPX_LOCAL_VENVS)/deployer/bin/python`.
"""


def page() -> str:
    """Return the page, in Markdown."""
    contents = "\n".join(f"| [`{table.title}`](#{_anchor(table.title)}) | {table.doc} |" for table in schema.TABLES)
    head = f"{_HEAD}\n| table | holds |\n|---|---|\n{contents}\n"
    return "\n".join([head, *(_table(table) for table in schema.TABLES)])


def _table(table: Table) -> str:
    parts = [f"## `{table.title}`", table.doc]
    if table.named:
        parts.append(f"NAME is {table.name_accepts}.")
    parts += [_key(key) for key in table.keys]
    if table.rules:
        parts += [f"### Rules of `{table.title}`", "\n".join(f"- {rule.text}" for rule in table.rules)]
    return "\n\n".join(parts) + "\n"


def _key(key: Key) -> str:
    facts = [f"- Accepts: {key.value.accepts}", f"- {_default(key)}"]
    return f"### `{key.name}`\n\n{key.doc}\n\n" + "\n".join(facts) + f"\n\n```toml\n{key.example}\n```"


def _default(key: Key) -> str:
    if key.required:
        return "Required"
    if key.default_text:
        return f"Default: {key.default_text}"
    return "Default: none" if key.default in (None, [], {}) else f"Default: `{json.dumps(key.default)}`"


def _anchor(title: str) -> str:
    return "".join(char for char in title.lower() if char.isalnum() or char in "-_")


if __name__ == "__main__":
    sys.stdout.write(page())
