"""Figures and tick labels on the review page."""

from __future__ import annotations

import pytest

from delivery.releases.report import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.406, "0.406"),
        (-0.137, "−0.137"),  # noqa: RUF001 the minus sign
        (12, "12"),
        (0, "0"),
        (9120.4, "9,120"),
        (54.32, "54.3"),
        (3.2e9, "3.20e+09"),
        (1e-7, "1.00e-07"),
    ],
)
def test_figures_have_few_characters(value: float, text: str):
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.0, 0.5, 1.0), ["0.0", "0.5", "1.0"]),
        ((-100, -50, 1e-9), ["−100", "−50", "0"]),  # noqa: RUF001 the minus sign
        ((1000, 20000), ["1,000", "20,000"]),
        ((0, 5e8), ["0", "5.00e+08"]),
    ],
)
def test_all_tick_labels_of_an_axis_have_the_same_number_of_decimal_places(values: tuple[float, ...], texts: list[str]):
    assert figures.tick_labels(values) == texts
