"""Turns repeated readings of the services' counters into figures for a period.

A counter restarts at zero when its service restarts, and services start and stop during the period. Therefore the counters of
each service are compared with the first reading of the same service, and the totals never decrease.
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
"""Values by the metric's name, without `modelstack_`, and by the label of the series. The label is empty if the metric has only
one series."""
STARTED: Final = ("started_seconds", "")
RESTARTS: Final = ("restarts", "")
_LINE: Final = re.compile(r"^modelstack_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(?:^|,)(?:code|le|at_least)="([^"]*)"')


def parse(text: str) -> Counters:
    """Parses the metrics of a service (workloads/serving/metrics.py) from Prometheus' text format.

    Ignores the labels that identify the release, because the caller knows which service it has read.
    """
    lines = _LINE.findall(text)
    return {(name, label[1] if (label := _LABEL.search(labels)) else ""): float(value) for name, labels, value in lines}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The counters of one service at one time. `source` identifies the service; it changes when the service restarts."""

    source: str
    counters: Counters


@dataclass
class Tally:
    """Adds up the counters of all services of one variant since the first call of `add`."""

    _first: dict[str, Counters] = field(default_factory=dict[str, Counters])
    _last: dict[str, Counters] = field(default_factory=dict[str, Counters])
    _started: bool = False

    def add(self, readings: Iterable[Reading]) -> None:
        """Adds one reading of each service.

        The first call sets the baseline. A service that appears in a later call has started since then: all its counts count.
        """
        for reading in readings:
            self._first.setdefault(reading.source, {} if self._started else reading.counters)
            self._last[reading.source] = reading.counters
        self._started = True

    def total(self) -> Figures:
        """Returns the figures since the first call of `add`. A service that no longer exists counts with its last reading."""
        total: Counters = defaultdict(float)
        for source, last in self._last.items():
            for key, value in last.items():
                total[key] += value - self._first[source].get(key, 0.0)
        return Figures(dict(total))


def since_start(readings: Iterable[Reading]) -> Figures:
    """Returns the figures of services since their start."""
    tally = Tally()
    tally.add(())  # an empty baseline
    tally.add(readings)
    return tally.total()


@dataclass(frozen=True)
class Figures:
    """The figures of a variant for a period."""

    counters: Counters

    @property
    def requests(self) -> float:
        """Number of requests."""
        return sum(self._family("requests_total").values())

    @property
    def failures(self) -> float:
        """Number of requests with a server error (5xx)."""
        return sum(count for code, count in self._family("requests_total").items() if code.startswith("5"))

    @property
    def refusals(self) -> float:
        """Number of requests that the service refused as invalid (4xx)."""
        return sum(count for code, count in self._family("requests_total").items() if code.startswith("4"))

    @property
    def answered(self) -> float:
        """Number of requests with a prediction; at least 1, because a service counts a request a moment after its rows."""
        return max(self.requests - self.failures - self.refusals, 1.0)

    @property
    def restarts(self) -> float:
        """Number of restarts of containers."""
        return self.counters.get(RESTARTS, 0.0)

    @property
    def histogram(self) -> Mapping[float, float]:
        """Number of predicted rows by the lower bound of their bucket, in ascending order, without empty buckets."""
        return {at_least: rows for at_least, rows in _by_number(self._family("answers_total")) if rows > 0}

    @property
    def rows(self) -> float:
        """Number of predicted rows."""
        return sum(self.histogram.values())

    @property
    def mean(self) -> float | None:
        """Mean of the predictions; None if there are none."""
        return self.counters.get(("answers_sum", ""), 0.0) / self.rows if self.rows else None

    @property
    def root_mean_square(self) -> float | None:
        """Root mean square of the predictions: their typical size, independent of the sign. None if there are none."""
        return math.sqrt(max(self.counters.get(("answers_squares", ""), 0.0) / self.rows, 0.0)) if self.rows else None

    def quantile(self, share: float) -> float | None:
        """Returns a quantile of the time in the service, in seconds; None if there are no requests.

        Interpolates linearly within a bucket. A time above the last finite bound counts as that bound.

        Args:
            share: the share of the requests that took at most the returned time, for example 0.99.
        """
        buckets = _by_number(self._family("request_seconds_bucket"))
        if not buckets or buckets[-1][1] <= 0:
            return None
        rank, low, before = share * buckets[-1][1], 0.0, 0.0
        for bound, count in buckets:
            if count >= rank and count > before:
                return low if math.isinf(bound) else low + (bound - low) * (rank - before) / (count - before)
            low, before = (low if math.isinf(bound) else bound), count
        return low

    def _family(self, name: str) -> dict[str, float]:
        return {label: value for (family, label), value in self.counters.items() if family == name}


def _by_number(family: Mapping[str, float]) -> list[tuple[float, float]]:
    return sorted((float(label), value) for label, value in family.items())
