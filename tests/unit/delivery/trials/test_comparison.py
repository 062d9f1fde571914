"""What a canary does worse than the stable version, and what is chance."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.trials.comparison import CLASSES, classes, compared, drift, more, shift, stability, times
from tests.canaries import figures
from workloads.canary import COMPARED


def test_more_of_the_same_is_chance_as_long_as_it_is_little():
    assert more(2, 100, 10, 1000) == 0, "2 % beside 1 %: of so few requests that may be"
    assert more(200, 10_000, 1000, 100_000) == pytest.approx(0.01, abs=0.005), "of so many it may not"
    assert more(50, 100, 0, 1000) > 0.3
    assert more(0, 100, 50, 100) == 0, "better is not worse"
    assert more(0, 0, 1, 10) is None
    assert more(0, 10, 0, 0) is None


COUNTS = st.integers(1, 100_000)


@given(COUNTS, COUNTS, st.floats(0, 1), st.floats(0, 1))
def test_a_share_is_never_more_than_all_of_it(of, other_of, part, other_part):
    found = more(round(part * of), of, round(other_part * other_of), other_of)
    assert 0 <= found <= 1
    assert more(of, of, other_of, other_of) == 0


def test_times_below_what_anybody_notices_are_as_good_as_one_another():
    assert times(0.0009, 0.0003, 0.01) == 1
    assert times(0.02, 0.0003, 0.01) == 2
    assert times(0.02, 0.04, 0.01) == 0.5
    assert times(None, 0.04, 0.01) is None


SPREADS = st.dictionaries(st.floats(-1e9, 1e9), st.integers(1, 10_000).map(float), min_size=1, max_size=200)


@given(SPREADS, SPREADS)
def test_classes_hold_all_rows_of_both_and_are_few(one, other):
    found = classes(one, other)
    assert 1 <= len(found) <= CLASSES
    assert [sum(counts) for counts in zip(*found, strict=True)] == pytest.approx([sum(one.values()), sum(other.values())])
    assert all(any(counts) for counts in found)


@given(SPREADS)
def test_the_same_spread_is_perfectly_stable(spread):
    assert stability(classes(spread, spread)) == 0


@given(SPREADS, SPREADS)
def test_instability_is_a_number_that_is_the_same_from_both_sides(one, other):
    found = stability(classes(one, other))
    assert 0 <= found < math.inf
    assert stability(classes(other, one)) == pytest.approx(found)


def drawn(generator, count, scale=1.0, spread=1.0):
    return figures(answers=[scale * math.exp(generator.gauss(8, spread)) for _ in range(count)])


def test_two_samples_of_the_same_are_no_drift_however_small_they_are():
    generator = random.Random(1)
    found = [
        (drift(canary, stable), shift(canary, stable))
        for canary, stable in ((drawn(generator, 40), drawn(generator, 400)) for _ in range(300))
    ]
    assert sum(one > 0.02 for one, _ in found) <= 3, "about one in a thousand may be more than chance"
    assert sum(one > 0.02 for _, one in found) <= 6, "sums of such long tails vary more than normal ones"


@pytest.mark.parametrize("changes", [{"scale": 3.0}, {"scale": 0.4}, {"spread": 2.5}, {"scale": -1.0}])
def test_another_spread_is_drift(changes):
    generator = random.Random(2)
    stable, canary = drawn(generator, 2000), drawn(generator, 400, **changes)
    assert drift(canary, stable) > 0.25


def test_a_request_that_is_asked_over_and_over_drifts_when_its_answer_does():
    same, double = figures(answers=[6400.0] * 300), figures(answers=[12_800.0] * 300)
    assert (drift(same, same), shift(same, same)) == (0, 0)
    assert drift(double, same) > 1
    assert shift(double, same) == 1, "twice as much is off by all of it"


def test_rows_of_one_request_are_not_taken_for_so_many_requests():
    few, many = ([6000.0] * 5 + [7000.0] * 5, [6000.0] * 7 + [7000.0] * 3)
    alone = figures(answers=few * 100), figures(answers=many * 100)
    together = figures(answers=few * 100, requests=20), figures(answers=many * 100, requests=20)
    assert drift(*alone) > drift(*together) == 0


def test_answers_around_zero_have_a_size_nevertheless():
    stable = figures(answers=[-10.0, 10.0] * 1000)
    assert shift(figures(answers=[-5.0, 15.0] * 1000), stable) == pytest.approx(0.5, abs=0.15)
    zero = figures(answers=[0.0] * 100)
    assert shift(zero, zero) == 0
    assert shift(figures(answers=[5.0] * 100), zero) == 1


def test_what_nobody_told_is_left_out():
    nothing, something = figures(), figures(answers=[1.0] * 10)
    assert compared(nothing, nothing, 0.01) == {"restarts": 0.0}
    assert set(compared(something, something, 0.01)) == set(COMPARED)
