"""Counters of services that come, go and start anew, as figures of a stretch of time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.trials.figures import RESTARTS, Figures, Reading, Tally, parse, summed

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


def test_what_a_service_tells_is_read():
    figures = Figures(parse(TEXT))
    assert (figures.requests, figures.refusals, figures.failures, figures.answered) == (100, 6, 4, 90)
    assert dict(figures.answers) == {-2.0: 30, 1024.0: 60}
    assert [*figures.answers] == [-2.0, 1024.0], "in the order of the numbers, not of their names"
    assert (figures.mean, figures.size) == (1000, 1000)


@pytest.mark.parametrize(("share", "seconds"), [(0.25, 0.0005), (0.5, 0.001), (0.7, 0.0055), (0.9, 0.01), (0.99, 0.01)])
def test_a_quantile_lies_within_its_bucket_and_not_beyond_the_last_bound(share, seconds):
    assert Figures(parse(TEXT)).quantile(share) == pytest.approx(seconds)


def test_where_nothing_was_asked_there_is_no_quantile_and_no_mean():
    nothing = Figures(dict.fromkeys(parse(TEXT), 0.0))
    assert (nothing.quantile(0.5), nothing.mean, nothing.size, nothing.requests) == (None, None, None, 0)
    assert Figures({}).quantile(0.5) is None


def reading(source, requests):
    return Reading(source=source, counters={("requests_total", "200"): float(requests)})


def test_what_was_before_the_watch_does_not_count_and_what_comes_new_does():
    tally = Tally()
    tally.take([reading("one", 100)])
    tally.take([reading("one", 130), reading("new", 7)])
    assert tally.total().requests == 37


def test_a_service_that_starts_anew_is_another_one_and_what_it_did_before_stays():
    tally = Tally()
    tally.take([reading("pod 1", 100)])
    tally.take([reading("pod 1", 130)])
    tally.take([reading("pod 2", 5)])
    assert tally.total().requests == 35


def test_a_watch_that_begins_before_there_is_a_service_counts_all_of_it():
    tally = Tally()
    tally.take([])
    tally.take([reading("one", 3)])
    assert tally.total().requests == 3


def test_restarts_before_the_watch_are_not_held_against_a_pod():
    tally = Tally()
    for restarts in (4, 4, 5):
        tally.take([Reading(source="uid", counters={RESTARTS: restarts})])
    assert tally.total().restarts == 1


def test_all_that_services_ever_did_can_be_summed():
    assert summed([reading("one", 5), reading("other", 6)]).requests == 11


STEPS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 50)), max_size=4), max_size=12)
"""Samplings: which pods answered, whether they had been started anew, and how many requests had come since."""


@given(STEPS)
def test_figures_never_fall_whatever_services_do(steps):
    state = {pod: (0, pod * 10) for pod in range(4)}
    tally, last = Tally(), 0.0
    for step in steps:
        for pod, anew, more in step:
            life, count = state[pod]
            state[pod] = (life + 1, more) if anew else (life, count + more)
        tally.take([reading(f"{pod} {state[pod][0]}", state[pod][1]) for pod in {pod for pod, *_ in step}])
        found = tally.total().requests
        assert found >= last, "a total that falls would make a negative rate"
        assert math.isfinite(found)
        last = found
