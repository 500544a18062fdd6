"""From the values of a checked config to the model: pairs them up, and gives the defaults that other values decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deployer import model
from deployer.config import schema


def filled(path: Path, parts: Mapping[str, Mapping[str, Any]], hosts: Mapping[str, Mapping[str, Any]]) -> model.Config:
    """Return the config of values that were read, by table and by host."""
    fields = {name: _fields(name, values) for name, values in parts.items()}
    name = fields["app"]["name"]
    app = {"description": name, "root": PurePosixPath("/opt") / name, **fields["app"]}
    return model.Config(
        path=path,
        app=model.App(**app),
        artifact=model.ArtifactSource(**fields["artifact"], **fields["release"]),
        service=model.Service(**fields["service"]),
        env=model.EnvSource(**fields["env"]),
        health=model.Health(**fields["health"]),
        ssh=model.Ssh(**fields["ssh"]),
        hosts=tuple(_host(host, values) for host, values in hosts.items()),
        **fields["deploy"],
    )


def _host(name: str, values: Mapping[str, Any]) -> model.Host:
    return model.Host(name=name, **{"address": name, **_fields("hosts", values)})


def _fields(table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {key.field: values[key.name] for key in schema.BY_NAME[table].keys if key.name in values}
