"""How fast a transfer goes and how long it still takes. Pure; the clock's readings come in."""

from __future__ import annotations

from collections import deque

from deployer.events import Progress

_WINDOW_S = 5.0
_SAMPLE_S = 0.1


class Meter:
    """The rate of one transfer over the last five seconds; bytes that were there before do not count."""

    def __init__(self, first: Progress, now: float) -> None:
        self.last = first
        self._samples: deque[tuple[float, int]] = deque([(now, first.done_bytes)])

    def add(self, progress: Progress, now: float) -> None:
        self.last = progress
        if now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, progress.done_bytes))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW_S:
            self._samples.popleft()

    @property
    def share(self) -> float:
        """0.0 to 1.0."""
        return min(self.last.done_bytes / self.last.total_bytes, 1.0) if self.last.total_bytes else 1.0

    def rate_bps(self) -> float | None:
        """Return bytes per second, None while too little has been seen."""
        (then, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - then) if now > then and done >= before else None

    def left_s(self) -> float | None:
        rate = self.rate_bps()
        return (self.last.total_bytes - self.last.done_bytes) / rate if rate else None
