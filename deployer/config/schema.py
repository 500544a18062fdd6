"""The one definition of every config key: the loader, the JSON Schema and the page of all keys are made from it."""

from __future__ import annotations

from typing import Final

from deployer.config.definition import Table
from deployer.config.keys.app import APP, ARTIFACT, RELEASE
from deployer.config.keys.health import HEALTH
from deployer.config.keys.hosts import DEPLOY, HOSTS, SSH
from deployer.config.keys.service import ENV, SERVICE

TABLES: Final[tuple[Table, ...]] = (APP, ARTIFACT, RELEASE, SERVICE, ENV, HEALTH, SSH, DEPLOY, HOSTS)
"""Every table, in the order in which a config is read and documented."""

BY_NAME: Final = {table.name: table for table in TABLES}
