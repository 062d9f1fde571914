"""How numbers are written."""

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
def test_figures_are_short(value: float, text: str):
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
def test_an_axis_is_written_with_as_many_places_throughout(values: tuple[float, ...], texts: list[str]):
    assert figures.alike(values) == texts
