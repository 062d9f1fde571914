"""Counts and latencies of all workers, without a process between them.

seldon-core keeps custom metrics in a manager process: each request then waits for four round trips to it, even with nothing to
note. Here the figures lie in memory that the workers share since they were forked, a line for each, added up when asked for.
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
"""Upper bounds of the latency's buckets in seconds; one row takes less than a thousandth."""
CODES = (200, 400, 413, 500)
WORKERS = 64
"""Lines kept. A worker's is found by its process id: figures survive it, and two share one seldom (and then lose little)."""

FEW = 40
"""Rows up to which a loop in Python is quicker than numpy."""

_ROWS = len(CODES)
_SECONDS = _ROWS + 1
_BUCKETS = _SECONDS + 1
_SUM = _BUCKETS + len(BOUNDS) + 1
_SQUARES = _SUM + 1
_PLACES = _SQUARES + 1
_WIDTH = _PLACES + scale.PLACES
_FIGURE = np.dtype(np.float64)


class RequestMetrics:
    """Figures on requests, shared by all processes forked after this was made.

    Takes the place of seldon-core's `SeldonMetrics`, whose methods it has.

    Args:
        labels: put on every figure.
    """

    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels
        self._started = time.time()
        memory = mmap.mmap(-1, WORKERS * _WIDTH * _FIGURE.itemsize)
        self._figures = np.frombuffer(memory, dtype=_FIGURE).reshape(WORKERS, _WIDTH)
        # The same memory, for figures one by one: numpy takes three times as long for that.
        self._each = memoryview(memory).cast("d")

    def note(self, *, code: int, rows: int, seconds: float) -> None:
        """Counts one request."""
        if code not in CODES:
            return
        each, line = self._each, os.getpid() % WORKERS * _WIDTH
        each[line + CODES.index(code)] += 1
        each[line + _ROWS] += rows
        each[line + _SECONDS] += seconds
        each[line + _BUCKETS + bisect_left(BOUNDS, seconds)] += 1

    def answered(self, values: Sequence[float]) -> None:
        """Counts what was predicted: the first column of one answer's rows."""
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
        seconds.add_metric(values, list(zip(bounds, total[_BUCKETS:_SUM].cumsum(), strict=True)), sum_value=total[_SECONDS])
        yield seconds
        started = GaugeMetricFamily(
            "modelstack_started_seconds", "When this service started: its counters began at zero then.", labels=names
        )
        started.add_metric(values, self._started)
        yield started
        yield from self._answers(total)

    def _answers(self, total: npt.NDArray[np.float64]) -> Iterator[Metric]:
        """What was predicted. Only places where there is something: an answer's scale takes up few of them."""
        names, values = list(self._labels), list(self._labels.values())
        answers = CounterMetricFamily(
            "modelstack_answers",
            "Rows predicted, by the first column of the answer: from `at_least` up to the next one there could be.",
            labels=[*names, "at_least"],
        )
        for place in np.flatnonzero(total[_PLACES:]).tolist():
            answers.add_metric([*values, repr(scale.lower(place))], total[_PLACES + place])
        yield answers
        for name, place, what in (("sum", _SUM, "Sum"), ("squares", _SQUARES, "Sum of the squares")):
            # Gauges: what is predicted may be below zero, and a counter never falls.
            figure = GaugeMetricFamily(f"modelstack_answers_{name}", f"{what} of the rows' first column.", labels=names)
            figure.add_metric(values, total[place])
            yield figure

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
