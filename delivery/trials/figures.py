"""What services tell of themselves, read as often as one likes, as figures of a stretch of time.

Counters go back to zero when a service starts anew, and services come and go. So each service is followed by itself from when
it was first seen, and what is added up never falls.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Counters = dict[tuple[str, str], float]
"""By the metric's name without `modelstack_`, and the label that tells its series apart; empty where there is one only."""
STARTED: Final = ("started_seconds", "")
RESTARTS: Final = ("restarts", "")
_LINE: Final = re.compile(r"^modelstack_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(?:^|,)(?:code|le|at_least)="([^"]*)"')


def parse(text: str) -> Counters:
    """Reads a service's metrics (workloads/serving/metrics.py) as Prometheus does. Whose they are is known already."""
    found = _LINE.findall(text)
    return {(name, label[1] if (label := _LABEL.search(labels)) else ""): float(value) for name, labels, value in found}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one service said once. `source` tells it from others, and from itself before it was started anew."""

    source: str
    counters: Counters


@dataclass
class Tally:
    """Adds up what the services of one variant did since it was begun."""

    _first: dict[str, Counters] = field(default_factory=dict[str, Counters])
    _last: dict[str, Counters] = field(default_factory=dict[str, Counters])
    _begun: bool = False

    def take(self, readings: Iterable[Reading]) -> None:
        """Takes the services' word. Those that the first readings do not have are new: all that they say counts."""
        for reading in readings:
            self._first.setdefault(reading.source, {} if self._begun else reading.counters)
            self._last[reading.source] = reading.counters
        self._begun = True

    def total(self) -> Figures:
        """What was done so far. A service that is gone has done what it last said."""
        total: Counters = defaultdict(float)
        for source, last in self._last.items():
            for key, value in last.items():
                total[key] += value - self._first[source].get(key, 0.0)
        return Figures(dict(total))


def summed(readings: Iterable[Reading]) -> Figures:
    """What services have done since they were started."""
    tally = Tally()
    tally.take(())
    tally.take(readings)
    return tally.total()


@dataclass(frozen=True)
class Figures:
    """What a variant did in a stretch of time."""

    counters: Counters

    @property
    def requests(self) -> float:
        return sum(self._family("requests_total").values())

    @property
    def failures(self) -> float:
        """Requests that the service failed on."""
        return sum(count for code, count in self._family("requests_total").items() if code.startswith("5"))

    @property
    def refusals(self) -> float:
        """Requests that the service found fault with."""
        return sum(count for code, count in self._family("requests_total").items() if code.startswith("4"))

    @property
    def answered(self) -> float:
        """Requests that got a prediction. At least one: a request is counted a moment after its rows."""
        return max(self.requests - self.failures - self.refusals, 1.0)

    @property
    def restarts(self) -> float:
        return self.counters.get(RESTARTS, 0.0)

    @property
    def answers(self) -> Mapping[float, float]:
        """Rows predicted, by where their place on the scale begins, in order."""
        return {at_least: rows for at_least, rows in _by_number(self._family("answers_total")) if rows > 0}

    @property
    def rows(self) -> float:
        return sum(self.answers.values())

    @property
    def mean(self) -> float | None:
        """Of what was predicted; None where nothing was."""
        return self.counters.get(("answers_sum", ""), 0.0) / self.rows if self.rows else None

    @property
    def size(self) -> float | None:
        """The root mean square of what was predicted: its usual size, whatever its sign. None where nothing was."""
        return math.sqrt(max(self.counters.get(("answers_squares", ""), 0.0) / self.rows, 0.0)) if self.rows else None

    def quantile(self, share: float) -> float | None:
        """Seconds in the service that `share` of the requests took at most; None where there were none.

        Between the bounds of a bucket its requests count as spread evenly. What took longer than the last bound took that long.
        """
        buckets = _by_number(self._family("request_seconds_bucket"))
        if not buckets or buckets[-1][1] <= 0:
            return None
        wanted, low, before = share * buckets[-1][1], 0.0, 0.0
        for bound, count in buckets:
            if count >= wanted and count > before:
                return low if math.isinf(bound) else low + (bound - low) * (wanted - before) / (count - before)
            low, before = (low if math.isinf(bound) else bound), count
        return low

    def _family(self, name: str) -> dict[str, float]:
        return {label: value for (family, label), value in self.counters.items() if family == name}


def _by_number(family: Mapping[str, float]) -> list[tuple[float, float]]:
    return sorted((float(label), value) for label, value in family.items())
