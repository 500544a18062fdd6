"""The output for programs: one JSON object a line on standard output, as docs/json-events.md describes them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any, Self, TextIO

from deployer.events import Event, to_json
from deployer.output.sink import Sink


class JsonLines:
    """Writes each event as its JSON objects, flushed line by line."""

    def __init__(self, *, stdout: TextIO) -> None:
        self._stdout = Sink(stdout)
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stdout.flush()

    def emit(self, event: Event) -> None:
        """Write an event; threads take turns."""
        text = "".join(f"{json_line(value)}\n" for value in to_json(event))
        with self._turn:
            self._stdout.write(text)
            self._stdout.flush()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let nobody write while a question is asked."""
        with self._turn:
            yield


def json_line(value: dict[str, Any]) -> str:
    """Return an object as one line of ASCII: every control character is escaped, so a terminal that shows it is safe.

    A value that JSON has no form for is written as its text; a `Secret` shows as `***`.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, default=str)
    return text.replace("\x7f", "\\u007f")  # the one control character that json.dumps lets through
