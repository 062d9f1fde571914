"""Counts and latencies of all workers, without a process between them.

seldon-core keeps custom metrics in a manager process: each request then waits for four round trips to it, even with nothing to
note. Here the figures lie in memory that the workers share since they were forked, a line for each, added up when asked for.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the latency's buckets in seconds; one row takes well under the first."""
CODES = (200, 400, 413, 500)
WORKERS = 64
"""Lines kept. A worker's is found by its process id: figures survive it, and two share one seldom (and then lose little)."""

_ROWS = len(CODES)
_SECONDS = _ROWS + 1
_BUCKETS = _SECONDS + 1
_WIDTH = _BUCKETS + len(BOUNDS) + 1
_FIGURE = np.dtype(np.float64)


class RequestMetrics:
    """Figures on requests, shared by all processes forked after this was made.

    Takes the place of seldon-core's `SeldonMetrics`, whose methods it has.

    Args:
        labels: put on every figure.
    """

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels
        size = WORKERS * _WIDTH
        self._figures = np.frombuffer(mmap.mmap(-1, size * _FIGURE.itemsize), dtype=_FIGURE, count=size).reshape(
            WORKERS, _WIDTH
        )

    def note(self, *, code: int, rows: int, seconds: float) -> None:
        """Counts one request."""
        if code not in CODES:
            return
        line = self._figures[os.getpid() % WORKERS]
        line[CODES.index(code)] += 1
        line[_ROWS] += rows
        line[_SECONDS] += seconds
        line[_BUCKETS + bisect_left(BOUNDS, seconds)] += 1

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """The sums, as prometheus_client's collectors give them."""
        total = self._figures.sum(axis=0)
        names, values = list(self._labels), list(self._labels.values())
        requests = CounterMetricFamily(
            "modelstack_requests", "Requests for predictions, by HTTP status.", labels=[*names, "code"]
        )
        for place, code in enumerate(CODES):
            requests.add_metric([*values, str(code)], total[place])
        yield requests
        rows = CounterMetricFamily("modelstack_rows", "Rows predicted.", labels=names)
        rows.add_metric(values, total[_ROWS])
        yield rows
        seconds = HistogramMetricFamily("modelstack_request_seconds", "Time in the service, without HTTP.", labels=names)
        bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
        seconds.add_metric(values, list(zip(bounds, total[_BUCKETS:].cumsum(), strict=True)), sum_value=total[_SECONDS])
        yield seconds

    def update(self, custom_metrics: list[dict[str, object]], method: str) -> None:
        """Called by seldon-core for every request with metrics of the component, of which ours has none."""

    def update_reward(self, reward: float) -> None:
        """Called by seldon-core for feedback, which is not taken."""

    def clear(self) -> None:
        """Called by seldon-core when a worker ends. What it counted stays counted."""

    def generate_metrics(self) -> tuple[str, str]:
        """Text and content type for Prometheus; seldon-core serves them on its metrics port."""
        registry = CollectorRegistry()
        registry.register(self)
        return exposition.generate_latest(registry).decode(), exposition.CONTENT_TYPE_LATEST
