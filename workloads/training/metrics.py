"""Metrics of forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def wape(actual: Floats, forecast: Floats) -> float:
    """Sum of absolute errors divided by the sum of units: 0 is perfect, and a forecast of zero units has 1."""
    return float(np.abs(actual - forecast).sum() / actual.sum())


def bias(actual: Floats, forecast: Floats) -> float:
    """Sum of forecasts divided by the sum of units sold, minus 1. Negative if the forecasts are too low in total."""
    return float(forecast.sum() / actual.sum() - 1)
