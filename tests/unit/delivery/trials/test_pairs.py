"""The comparison of the recorded answers of two variants to the same requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.trials.pairs import RecordedAnswer, Row, agreement


def answer(request, *values, rows=None, at=1.0):
    return RecordedAnswer(request=request, at=at, rows=rows or len(values), values=list(values))


def test_answers_are_paired_by_the_request_and_others_are_ignored():
    stable = [answer("a", 100.0, 200.0), answer("b", 50.0), answer("old", 1.0)]
    result = agreement(stable, [answer("b", 40.0), answer("a", 100.0, 210.0)])
    assert (result.requests, result.rows, result.unlike) == (2, 3, 0)
    assert result.mean_difference == pytest.approx((0 + 10 / 210 + 0.2) / 3)
    assert result.largest_difference == pytest.approx(0.2)
    assert result.far == pytest.approx(1 / 3), "one of three rows differs by more than a tenth"
    assert result.bias == pytest.approx(0), "one prediction is 10 higher and one is 10 lower"
    assert [row.request for row in result.widest] == ["b", "a"], "a row with equal values is not listed"


def test_without_a_common_request_there_is_no_agreement():
    assert agreement([answer("a", 1.0)], [answer("b", 1.0)]) is None
    assert agreement([], []) is None


def test_a_repeated_request_counts_once_with_its_latest_answer():
    result = agreement([answer("a", 7.0, at=1.0), answer("a", 8.0, at=2.0)], [answer("a", 8.0)])
    assert (result.requests, result.largest_difference) == (1, 0)


def test_answers_of_different_lengths_are_counted_but_not_compared():
    result = agreement([answer("a", 1.0), answer("b", 1.0, 2.0)], [answer("a", 1.0), answer("b", 1.0)])
    assert (result.requests, result.unlike) == (1, 1)


def test_a_variant_with_the_same_value_in_every_row_has_no_correlation():
    result = agreement([answer("a", 1.0), answer("b", 1.0)], [answer("a", 1.0), answer("b", 2.0)])
    assert result.correlation is None


VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5)


@given(st.dictionaries(st.text(min_size=1, max_size=5), VALUES, min_size=1, max_size=20))
def test_equal_answers_agree_perfectly(values_by_request):
    answers = [answer(request, *values) for request, values in values_by_request.items()]
    result = agreement(answers, answers)
    assert (result.requests, result.largest_difference, result.far, result.bias) == (len(values_by_request), 0, 0, 0)
    assert result.correlation is None or result.correlation == pytest.approx(1, abs=1e-3)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_a_difference_is_between_zero_and_two(stable, shadow):
    one, other = (
        Row(request="a", row=0, stable=stable, shadow=shadow) for stable, shadow in ((stable, shadow), (shadow, stable))
    )
    assert 0 <= one.difference <= 2
    assert one.difference == other.difference, "the difference is symmetric"
