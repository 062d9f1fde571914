"""Figures for a period, from the counters of services that start, stop and restart."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.trials.figures import RESTARTS, Figures, Reading, Tally, parse, since_start

IDENTITY = 'run="0f3c",version="3",workload="markdown"'
TEXT = f"""\
# HELP modelstack_requests_total Requests for predictions, by HTTP status.
# TYPE modelstack_requests_total counter
modelstack_requests_total{{code="200",{IDENTITY}}} 90.0
modelstack_requests_total{{code="400",{IDENTITY}}} 6.0
modelstack_requests_total{{code="500",{IDENTITY}}} 4.0
modelstack_request_seconds_bucket{{le="0.001",{IDENTITY}}} 50.0
modelstack_request_seconds_bucket{{le="0.01",{IDENTITY}}} 90.0
modelstack_request_seconds_bucket{{le="+Inf",{IDENTITY}}} 100.0
modelstack_started_seconds{{{IDENTITY}}} 1.7671e+09
modelstack_answers_total{{{IDENTITY},at_least="1024.0"}} 60.0
modelstack_answers_total{{{IDENTITY},at_least="-2.0"}} 30.0
modelstack_answers_sum{{{IDENTITY}}} 90000.0
modelstack_answers_squares{{{IDENTITY}}} 9e+07
python_info{{version="3.11"}} 1.0
"""


def test_the_metrics_of_a_service_are_parsed_into_figures():
    figures = Figures(parse(TEXT))
    assert (figures.requests, figures.refusals, figures.failures, figures.answered) == (100, 6, 4, 90)
    assert dict(figures.histogram) == {-2.0: 30, 1024.0: 60}
    assert [*figures.histogram] == [-2.0, 1024.0], "the order is that of the numbers and not of their text"
    assert (figures.mean, figures.root_mean_square) == (1000, 1000)


@pytest.mark.parametrize(("share", "seconds"), [(0.25, 0.0005), (0.5, 0.001), (0.7, 0.0055), (0.9, 0.01), (0.99, 0.01)])
def test_a_quantile_is_interpolated_and_never_exceeds_the_last_finite_bound(share, seconds):
    assert Figures(parse(TEXT)).quantile(share) == pytest.approx(seconds)


def test_without_requests_there_is_no_quantile_and_no_mean():
    empty = Figures(dict.fromkeys(parse(TEXT), 0.0))
    assert (empty.quantile(0.5), empty.mean, empty.root_mean_square, empty.requests) == (None, None, None, 0)
    assert Figures({}).quantile(0.5) is None


def reading(source, requests):
    return Reading(source=source, counters={("requests_total", "200"): float(requests)})


def test_counts_before_the_first_reading_do_not_count_but_those_of_a_new_service_do():
    tally = Tally()
    tally.add([reading("one", 100)])
    tally.add([reading("one", 130), reading("new", 7)])
    assert tally.total().requests == 37


def test_a_restarted_service_is_a_new_one_and_its_earlier_counts_stay():
    tally = Tally()
    tally.add([reading("pod 1", 100)])
    tally.add([reading("pod 1", 130)])
    tally.add([reading("pod 2", 5)])
    assert tally.total().requests == 35


def test_all_counts_of_a_service_count_if_the_watch_began_before_the_service():
    tally = Tally()
    tally.add([])
    tally.add([reading("one", 3)])
    assert tally.total().requests == 3


def test_restarts_before_the_watch_do_not_count():
    tally = Tally()
    for restarts in (4, 4, 5):
        tally.add([Reading(source="uid", counters={RESTARTS: restarts})])
    assert tally.total().restarts == 1


def test_figures_since_the_start_of_services_contain_all_counts():
    assert since_start([reading("one", 5), reading("other", 6)]).requests == 11


SAMPLES = st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 50)), max_size=4), max_size=12)
"""Samples: for each pod that answers, its number, whether it has restarted, and its requests since the last sample."""


@given(SAMPLES)
def test_totals_never_decrease_whatever_services_do(samples):
    state = {pod: (0, pod * 10) for pod in range(4)}
    tally, last = Tally(), 0.0
    for sample in samples:
        for pod, restarted, requests in sample:
            restarts, count = state[pod]
            state[pod] = (restarts + 1, requests) if restarted else (restarts, count + requests)
        tally.add([reading(f"{pod} {state[pod][0]}", state[pod][1]) for pod in {pod for pod, *_ in sample}])
        total = tally.total().requests
        assert total >= last, "a decreasing total would give a negative rate"
        assert math.isfinite(total)
        last = total
