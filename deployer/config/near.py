"""What was probably meant by a name or word that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or an empty text."""
    # difflib is slow to import, and only faults need it.
    from difflib import get_close_matches

    by_folded = {each.replace("-", "_").casefold(): each for each in known}
    close = get_close_matches(name.replace("-", "_").casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else ""
