"""The unit's text: rendered from the config, or from a unit file of the user's own; and what follows from it.

Pure but for reading the user's file. Whether a host's systemd accepts a text is asked there, by others.
"""

from __future__ import annotations

from deployer.unit.faults import faults
from deployer.unit.lint import remarks
from deployer.unit.one_off import one_off_text
from deployer.unit.text import HEADER, removed_in_vain, unit_text

__all__ = ["HEADER", "faults", "one_off_text", "remarks", "removed_in_vain", "unit_text"]
