"""How events are shown: on a terminal (`screen`), as plain lines (`plain`) or as JSON (`jsonlines`).

`open_output` picks one. Rich is imported for the terminal alone, and only when that one is picked.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol, Self, TextIO, TypeAlias

from deployer.events import Event

Kind: TypeAlias = Literal["auto", "rich", "plain", "json"]


class Output(Protocol):
    """Shows events while it is entered. Every method may be called from any thread."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def emit(self, event: Event) -> None:
        """Show an event. Never raises because a reader has gone."""

    def paused(self) -> AbstractContextManager[None]:
        """Show what came so far, then leave the terminal alone: for a question, or a program of its own."""


def open_output(
    kind: Kind,
    *,
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    verbose: int = 0,
    lines_are_results: bool = False,
) -> Output:
    """Return the output for these streams; enter it before the first event.

    Args:
        kind: "auto" is "rich" where standard error is a terminal, or where `FORCE_COLOR` asks for colours; else
            "plain". A stream that is not UTF-8 gets "plain" in any case.
        environ: `TERM`, `COLORTERM`, `COLUMNS`, `NO_COLOR`, `FORCE_COLOR` and `CI` are read.
        verbose: 1 and more tells when phases start, and all the evidence of a failure in place of its last lines.
        lines_are_results: Journal and command lines go to standard output too, as `logs` and `run` want it.

    Results (`Listing`, `Text`) go to standard output, all else to standard error; JSON goes to standard output whole.
    """
    if kind == "json":
        from deployer.output.jsonlines import JsonLines  # each output is loaded alone

        return JsonLines(stdout=stdout)
    if kind != "plain" and _shows_signs(stderr) and (kind == "rich" or _is_rich(stderr, environ)):
        from deployer.output.screen import open_screen  # rich is loaded for this one alone

        return open_screen(
            stdout=stdout,
            stderr=stderr,
            environ=environ,
            verbose=verbose,
            lines_are_results=lines_are_results,
            fits=kind == "rich",
        )
    from deployer.output.plain import Plain  # each output is loaded alone

    return Plain(stdout=stdout, stderr=stderr, verbose=verbose, lines_are_results=lines_are_results)


def _is_rich(stderr: TextIO, environ: Mapping[str, str]) -> bool:
    if stderr.isatty():
        return environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return is_set(environ, "FORCE_COLOR") and not environ.get("NO_COLOR")


def _shows_signs(stream: TextIO) -> bool:
    return (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Tell whether a switch of the environment is on: "", "0" and "false" are off."""
    return environ.get(name, "").lower() not in ("", "0", "false")
