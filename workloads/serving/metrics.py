"""Request counts and latencies of all workers, in shared memory.

seldon-core keeps custom metrics in a manager process. Each request then waits for four round trips to that process, even if
there is nothing to record. Here the figures are in memory that forked workers share. Each worker writes its own line, and
`collect` adds up the lines.
"""

from __future__ import annotations

import mmap
import os
import time
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from workloads.serving import scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from prometheus_client.core import Metric

BOUNDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the latency buckets in seconds. A request of one row takes less than 0.001 s."""
CODES = (200, 400, 413, 500)
WORKERS = 64
"""Number of lines in the shared memory. A worker's process id determines its line, so figures remain when a worker ends. Two
    workers rarely share a line; then a few increments may be lost."""

FEW = 40
"""Up to this number of rows, a loop in Python is faster than numpy."""

_ROWS = len(CODES)
_SECONDS = _ROWS + 1
_BUCKETS = _SECONDS + 1
_SUM = _BUCKETS + len(BOUNDS) + 1
_SQUARES = _SUM + 1
_PLACES = _SQUARES + 1
_WIDTH = _PLACES + scale.PLACES
_FIGURE = np.dtype(np.float64)


class RequestMetrics:
    """Figures about requests, shared by all processes that are forked after its creation.

    Replaces seldon-core's `SeldonMetrics` and has the same methods.

    Args:
        labels: labels of every metric.
    """

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels
        self._started = time.time()
        memory = mmap.mmap(-1, WORKERS * _WIDTH * _FIGURE.itemsize)
        self._figures = np.frombuffer(memory, dtype=_FIGURE).reshape(WORKERS, _WIDTH)
        # The same memory, to access single figures: numpy takes three times as long for that.
        self._each = memoryview(memory).cast("d")

    def count_request(self, *, code: int, rows: int, seconds: float) -> None:
        """Counts one request: its HTTP status, its number of rows and its time in seconds."""
        if code not in CODES:
            return
        each, line = self._each, os.getpid() % WORKERS * _WIDTH
        each[line + CODES.index(code)] += 1
        each[line + _ROWS] += rows
        each[line + _SECONDS] += seconds
        each[line + _BUCKETS + bisect_left(BOUNDS, seconds)] += 1

    def count_answer(self, values: Sequence[float]) -> None:
        """Counts the predictions of one answer. `values` is the first column of its rows."""
        line = os.getpid() % WORKERS
        if len(values) > FEW:
            many = np.clip(values, -scale.LARGEST, scale.LARGEST)
            self._figures[line, _PLACES:] += np.bincount(scale.places(many), minlength=scale.PLACES)
            total, squares = float(many.sum()), float(many @ many)
        else:
            total = squares = 0.0
            for value in values:
                self._each[line * _WIDTH + _PLACES + scale.place(value)] += 1
                clipped = min(max(value, -scale.LARGEST), scale.LARGEST)
                total += clipped
                squares += clipped * clipped
        self._each[line * _WIDTH + _SUM] += total
        self._each[line * _WIDTH + _SQUARES] += squares

    def collect(self) -> Iterator[Metric]:
        """Yields the sums over all workers, as a collector of prometheus_client."""
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
        seconds.add_metric(values, list(zip(bounds, total[_BUCKETS:_SUM].cumsum(), strict=True)), sum_value=total[_SECONDS])
        yield seconds
        started = GaugeMetricFamily(
            "modelstack_started_seconds", "When this service started: its counters began at zero then.", labels=names
        )
        started.add_metric(values, self._started)
        yield started
        yield from self._answers(total)

    def _answers(self, total: npt.NDArray[np.float64]) -> Iterator[Metric]:
        """Yields the distribution of the predictions. Empty bins are omitted: the predictions of one model use few bins."""
        names, values = list(self._labels), list(self._labels.values())
        answers = CounterMetricFamily(
            "modelstack_answers",
            "Rows predicted, in bins by the first column of the answer. `at_least` is the lower bound of the bin.",
            labels=[*names, "at_least"],
        )
        for place in np.flatnonzero(total[_PLACES:]).tolist():
            answers.add_metric([*values, repr(scale.lower(place))], total[_PLACES + place])
        yield answers
        for name, place, what in (("sum", _SUM, "Sum"), ("squares", _SQUARES, "Sum of the squares")):
            # Gauges, because predictions may be negative and a counter never decreases.
            figure = GaugeMetricFamily(f"modelstack_answers_{name}", f"{what} of the rows' first column.", labels=names)
            figure.add_metric(values, total[place])
            yield figure

    def update(self, custom_metrics: list[dict[str, object]], method: str) -> None:
        """seldon-core calls this for every request with the custom metrics of the component. Our component has none."""

    def update_reward(self, reward: float) -> None:
        """seldon-core calls this for feedback, which this service does not support."""

    def clear(self) -> None:
        """seldon-core calls this when a worker ends. The counts of that worker remain."""

    def generate_metrics(self) -> tuple[str, str]:
        """Returns text and content type for Prometheus. seldon-core serves them on its metrics port."""
        registry = CollectorRegistry()
        registry.register(self)
        return exposition.generate_latest(registry).decode(), exposition.CONTENT_TYPE_LATEST
