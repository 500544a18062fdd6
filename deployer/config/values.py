"""What a single value of a config may be: each class reads one, says what it accepts, and gives its JSON Schema.

Pure. A reader returns the value as the model wants it, or `BAD` after it has noted a fault.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deployer import durations, sizes
from deployer.config import patterns
from deployer.config.faults import BAD, Spot
from deployer.config.near import near

Schema = dict[str, Any]


class Value(Protocol):
    @property
    def accepts(self) -> str:
        """What is accepted, to follow "is not": "a whole number from 1 to 65535"."""

    def read(self, value: Any, spot: Spot) -> Any: ...

    def schema(self) -> Schema: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A text of a pattern.

    Args:
        hints: Patterns of likely mistakes (matched at the start), each with the message that it deserves.
        refused: Patterns of values that the main pattern would let through.
        convert: Makes the model's value of an accepted text.
    """

    accepts: str
    pattern: str = patterns.ONE_LINE
    longest: int | None = None
    hints: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()
    convert: Callable[[str], Any] = str

    def read(self, value: Any, spot: Spot) -> Any:
        if not isinstance(value, str):
            return spot.wrong(value, self.accepts)
        for pattern, message in self.hints:
            if re.match(pattern, value):
                return spot.refuse(message)
        fits = re.fullmatch(self.pattern, value) and (self.longest is None or len(value) <= self.longest)
        if not fits or any(re.fullmatch(pattern, value) for pattern in self.refused):
            return spot.wrong(value, self.accepts)
        return self.convert(value)

    def schema(self) -> Schema:
        schema: Schema = {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        if self.longest is not None:
            schema["maxLength"] = self.longest
        if self.refused:
            schema["not"] = {"pattern": f"^(?:{'|'.join(self.refused)})$"}
        return schema


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of a few words. `later` are words that will mean something, and do not yet."""

    words: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def accepts(self) -> str:
        quoted = [f'"{word}"' for word in self.words]
        return f"{', '.join(quoted[:-1])} or {quoted[-1]}"

    def read(self, value: Any, spot: Spot) -> Any:
        if value in self.later:
            return spot.refuse(f'"{value}" is not supported yet; what is: {self.accepts}')
        if isinstance(value, str) and value in self.words:
            return value
        meant = near(value, self.words) if isinstance(value, str) and not spot.private else ""
        return spot.wrong(value, self.accepts + (f'; did you mean "{meant}"?' if meant else ""))

    def schema(self) -> Schema:
        return {"enum": list(self.words)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Integer:
    low: int
    high: int

    @property
    def accepts(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, value: Any, spot: Spot) -> Any:
        # 22.0 is an integer to a JSON Schema, which has no other kind of number.
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(whole, bool) or not isinstance(whole, int) or not self.low <= whole <= self.high:
            return spot.wrong(value, self.accepts)
        return whole

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, kw_only=True, slots=True)
class Boolean:
    accepts: str = "true or false"

    def read(self, value: Any, spot: Spot) -> Any:
        return value if isinstance(value, bool) else spot.wrong(value, self.accepts)

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """Seconds, up to a day. The JSON Schema cannot say how long a written duration is; the loader does.

    Not below a millisecond: it would come out as 0, which means "no limit" to systemd and timeout(1).
    """

    zero: bool = False

    @property
    def accepts(self) -> str:
        return f"{durations.ACCEPTED}, from {'0' if self.zero else '1ms'} to 24h"

    def read(self, value: Any, spot: Spot) -> Any:
        # A plain number is TOML's own: "5" in quotes would be a second way to write 5.
        if isinstance(value, str) and not re.fullmatch(durations.PATTERN, value):
            return spot.wrong(value, self.accepts)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return spot.wrong(value, self.accepts)
        try:
            seconds = durations.parse(value)
        except (ValueError, OverflowError):
            return spot.wrong(value, self.accepts)
        if not (0 if self.zero else 0.001) <= seconds <= 86400:
            return spot.wrong(value, self.accepts)
        return seconds

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": f"^(?:{durations.PATTERN})$"}
        return {"anyOf": [text, {"type": "number", "minimum": 0 if self.zero else 0.001, "maximum": 86400}]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Bytes, up to a TiB. As with durations, the JSON Schema cannot say how much a written size is."""

    accepts: str = f"{sizes.ACCEPTED}, more than 0 and up to 1TiB"

    def read(self, value: Any, spot: Spot) -> Any:
        if not isinstance(value, str):
            number = Integer(low=1, high=1 << 40).read(value, Spot())
            return spot.wrong(value, self.accepts) if number is BAD else number
        try:
            size = sizes.parse(value)
        except (ValueError, OverflowError):
            return spot.wrong(value, self.accepts)
        return size if 0 < size <= 1 << 40 else spot.wrong(value, self.accepts)

    def schema(self) -> Schema:
        text = {"type": "string", "pattern": f"^(?:{sizes.PATTERN})$"}
        return {"anyOf": [text, Integer(low=1, high=1 << 40).schema()]}


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalPath:
    """A path on this machine, made absolute from the config's directory; `~` is expanded.

    With `glob` it is read into a text: a glob, in which the directory's own name has no special characters.
    """

    glob: bool = False

    @property
    def accepts(self) -> str:
        what = "a path or a glob" if self.glob else "a path"
        return f"{what} on this machine, from the config's directory or absolute"

    def read(self, value: Any, spot: Spot) -> Any:
        if isinstance(value, str) and re.match(patterns.IS_ADDRESS, value):
            # Not shown: there may be a password in it.
            return spot.refuse(f"an address is not {self.accepts}{'; it goes into url' if self.glob else ''}")
        if not isinstance(value, str) or not re.fullmatch(patterns.LOCAL_PATH, value):
            return spot.wrong(value, self.accepts)
        try:
            path = Path(value).expanduser()
        except RuntimeError:
            return spot.refuse("this machine knows no user of that name to expand ~ for")
        if self.glob:
            return str(Path(glob.escape(str(spot.directory))) / path)
        return spot.directory / path

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?!{patterns.IS_ADDRESS})(?:{patterns.LOCAL_PATH})$"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf:
    """A list, read into a tuple. With `single`, one value may stand without its brackets."""

    item: Value
    accepts: str
    single: bool = False
    shortest: int = 0

    def read(self, value: Any, spot: Spot) -> Any:
        if not isinstance(value, list):
            if not self.single:
                return spot.wrong(value, self.accepts)
            one = self.item.read(value, spot)
            return BAD if one is BAD else (one,)
        if len(value) < self.shortest:
            return spot.wrong(value, self.accepts)
        read = tuple([self.item.read(each, spot.at(index)) for index, each in enumerate(value)])
        return BAD if BAD in read else read

    def schema(self) -> Schema:
        schema: Schema = {"type": "array", "items": self.item.schema()}
        if self.shortest:
            schema["minItems"] = self.shortest
        return {"anyOf": [self.item.schema(), schema]} if self.single else schema


@dataclass(frozen=True, kw_only=True, slots=True)
class Either:
    """A text, or a whole number that stands for its digits."""

    text: Text
    integer: Integer

    @property
    def accepts(self) -> str:
        return self.text.accepts

    def read(self, value: Any, spot: Spot) -> Any:
        if isinstance(value, str):
            return self.text.read(value, spot)
        number = self.integer.read(value, Spot())
        return spot.wrong(value, self.accepts) if number is BAD else self.text.convert(str(number))

    def schema(self) -> Schema:
        return {"anyOf": [self.text.schema(), self.integer.schema()]}
