"""By how much a canary is worse than the stable version, beyond the allowance for sampling noise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.trials.comparison import (
    BINS,
    bin_counts,
    compare,
    drift,
    excess_share,
    population_stability_index,
    shift,
    time_ratio,
)
from tests.canaries import figures
from workloads.canary import COMPARED


def test_an_excess_within_the_sampling_noise_is_no_excess():
    assert excess_share(2, 100, 10, 1000) == 0, "2 % against 1 % is within the noise of 100 requests"
    assert excess_share(200, 10_000, 1000, 100_000) == pytest.approx(0.01, abs=0.005), "but not of 10,000 requests"
    assert excess_share(50, 100, 0, 1000) > 0.3
    assert excess_share(0, 100, 50, 100) == 0, "a smaller share is better and not worse"
    assert excess_share(0, 0, 1, 10) is None
    assert excess_share(0, 10, 0, 0) is None


COUNTS = st.integers(1, 100_000)


@given(COUNTS, COUNTS, st.floats(0, 1), st.floats(0, 1))
def test_an_excess_share_is_between_zero_and_one(total, other_total, share, other_share):
    excess = excess_share(round(share * total), total, round(other_share * other_total), other_total)
    assert 0 <= excess <= 1
    assert excess_share(total, total, other_total, other_total) == 0


def test_times_below_the_quick_time_count_as_equal():
    assert time_ratio(0.0009, 0.0003, 0.01) == 1
    assert time_ratio(0.02, 0.0003, 0.01) == 2
    assert time_ratio(0.02, 0.04, 0.01) == 0.5
    assert time_ratio(None, 0.04, 0.01) is None


HISTOGRAMS = st.dictionaries(st.floats(-1e9, 1e9), st.integers(1, 10_000).map(float), min_size=1, max_size=200)


@given(HISTOGRAMS, HISTOGRAMS)
def test_a_few_bins_contain_all_rows_of_both_histograms(one, other):
    bins = bin_counts(one, other)
    assert 1 <= len(bins) <= BINS
    assert [sum(counts) for counts in zip(*bins, strict=True)] == pytest.approx([sum(one.values()), sum(other.values())])
    assert all(any(counts) for counts in bins)


@given(HISTOGRAMS)
def test_the_stability_index_of_equal_distributions_is_zero(histogram):
    assert population_stability_index(bin_counts(histogram, histogram)) == 0


@given(HISTOGRAMS, HISTOGRAMS)
def test_the_stability_index_is_finite_and_symmetric(one, other):
    index = population_stability_index(bin_counts(one, other))
    assert 0 <= index < math.inf
    assert population_stability_index(bin_counts(other, one)) == pytest.approx(index)


def log_normal(generator, count, scale=1.0, deviation=1.0):
    """Figures of a sample of log-normal predictions."""
    return figures(answers=[scale * math.exp(generator.gauss(8, deviation)) for _ in range(count)])


def test_two_samples_of_the_same_distribution_show_no_drift_however_small_they_are():
    generator = random.Random(1)
    results = [
        (drift(canary, stable), shift(canary, stable))
        for canary, stable in ((log_normal(generator, 40), log_normal(generator, 400)) for _ in range(300))
    ]
    assert sum(value > 0.02 for value, _ in results) <= 3, "about one in a thousand may exceed the allowance for noise"
    assert sum(value > 0.02 for _, value in results) <= 6, "means of such long-tailed samples vary more than normal ones"


@pytest.mark.parametrize("changes", [{"scale": 3.0}, {"scale": 0.4}, {"deviation": 2.5}, {"scale": -1.0}])
def test_a_different_distribution_is_drift(changes):
    generator = random.Random(2)
    stable, canary = log_normal(generator, 2000), log_normal(generator, 400, **changes)
    assert drift(canary, stable) > 0.25


def test_the_same_request_with_another_answer_is_drift_and_shift():
    same, double = figures(answers=[6400.0] * 300), figures(answers=[12_800.0] * 300)
    assert (drift(same, same), shift(same, same)) == (0, 0)
    assert drift(double, same) > 1
    assert shift(double, same) == 1, "the mean differs by the whole root mean square of the stable predictions"


def test_the_sample_size_is_the_number_of_requests_and_not_of_rows():
    canary, stable = ([6000.0] * 5 + [7000.0] * 5, [6000.0] * 7 + [7000.0] * 3)
    one_row_each = figures(answers=canary * 100), figures(answers=stable * 100)
    many_rows_each = figures(answers=canary * 100, requests=20), figures(answers=stable * 100, requests=20)
    assert drift(*one_row_each) > drift(*many_rows_each) == 0


def test_a_shift_is_measured_also_if_the_stable_predictions_have_mean_zero():
    stable = figures(answers=[-10.0, 10.0] * 1000)
    assert shift(figures(answers=[-5.0, 15.0] * 1000), stable) == pytest.approx(0.5, abs=0.15)
    zero = figures(answers=[0.0] * 100)
    assert shift(zero, zero) == 0
    assert shift(figures(answers=[5.0] * 100), zero) == 1


def test_metrics_without_figures_are_omitted():
    empty, complete = figures(), figures(answers=[1.0] * 10)
    assert compare(empty, empty, 0.01) == {"restarts": 0.0}
    assert set(compare(complete, complete, 0.01)) == set(COMPARED)
