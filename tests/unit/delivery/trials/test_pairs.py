"""Answers of two variants to the same requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.trials.pairs import Recorded, Row, agreement


def kept(request, *values, rows=None, at=1.0):
    return Recorded(request=request, at=at, rows=rows or len(values), values=list(values))


def test_answers_are_compared_by_the_request_and_others_are_left_out():
    found = agreement([kept("a", 100.0, 200.0), kept("b", 50.0), kept("old", 1.0)], [kept("b", 40.0), kept("a", 100.0, 210.0)])
    assert (found.requests, found.rows, found.unlike) == (2, 3, 0)
    assert found.mean_difference == pytest.approx((0 + 10 / 210 + 0.2) / 3)
    assert found.largest_difference == pytest.approx(0.2)
    assert found.far == pytest.approx(1 / 3), "rows beyond a tenth"
    assert found.bias == pytest.approx(0), "ten more, ten less"
    assert [row.request for row in found.widest] == ["b", "a"], "and not the row that is the same"


def test_where_nothing_was_answered_by_both_there_is_nothing_to_say():
    assert agreement([kept("a", 1.0)], [kept("b", 1.0)]) is None
    assert agreement([], []) is None


def test_a_request_that_was_asked_twice_counts_once_by_its_last_answer():
    found = agreement([kept("a", 7.0, at=1.0), kept("a", 8.0, at=2.0)], [kept("a", 8.0)])
    assert (found.requests, found.largest_difference) == (1, 0)


def test_answers_of_different_length_are_not_compared_and_told():
    found = agreement([kept("a", 1.0), kept("b", 1.0, 2.0)], [kept("a", 1.0), kept("b", 1.0)])
    assert (found.requests, found.unlike) == (1, 1)


def test_one_answer_to_everything_has_no_correlation():
    found = agreement([kept("a", 1.0), kept("b", 1.0)], [kept("a", 1.0), kept("b", 2.0)])
    assert found.correlation is None


VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5)


@given(st.dictionaries(st.text(min_size=1, max_size=5), VALUES, min_size=1, max_size=20))
def test_who_says_the_same_agrees_perfectly(said):
    answers = [kept(request, *values) for request, values in said.items()]
    found = agreement(answers, answers)
    assert (found.requests, found.largest_difference, found.far, found.bias) == (len(said), 0, 0, 0)
    assert found.correlation is None or found.correlation == pytest.approx(1, abs=1e-3)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_a_difference_is_between_none_and_two(stable, shadow):
    one, other = (
        Row(request="a", row=0, stable=stable, shadow=shadow) for stable, shadow in ((stable, shadow), (shadow, stable))
    )
    assert 0 <= one.difference <= 2
    assert one.difference == other.difference, "whichever is called stable"
