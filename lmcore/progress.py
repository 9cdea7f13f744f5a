"""Lines of progress, for a terminal that several jobs share and for log files alike."""

import logging
import time

logger = logging.getLogger("lmcore")


class Progress:
    """Logs how far a loop is, at most every few seconds.

    Arguments:
        what: what is being done, the start of every line.
        total: how many units there are.
        unit: the name of a unit, in the plural.
        seconds: the least time between two lines.
    """

    def __init__(self, what: str, total: int, unit: str, seconds: float = 5.0):
        self.what, self.total, self.unit, self.seconds = what, total, unit, seconds
        self.begin = self.last = time.monotonic()
        self.first_done: int | None = None

    def update(self, done: int, **values: float) -> None:
        """Report that `done` units are behind us; `values` are shown with four digits."""
        if self.first_done is None:  # a resumed loop does not start at zero
            self.first_done, self.begin = done, time.monotonic()
        now = time.monotonic()
        if now - self.last < self.seconds:
            return
        self.last = now
        rate = (done - self.first_done) / max(now - self.begin, 1e-9)
        shown = "".join(f", {name} {value:.4g}" for name, value in values.items())
        left = f", {clock((self.total - done) / rate)} left" if rate > 0 else ""
        logger.info(
            f"{self.what}: {done:,} of {self.total:,} {self.unit}{shown}, "
            f"{rate:.3g} {self.unit}/s{left}"
        )


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
