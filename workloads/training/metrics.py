"""How good a forecast is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def wape(actual: Floats, forecast: Floats) -> float:
    """Sum of absolute errors over sum of units: 0 is perfect, 1 is what a forecast of nothing has."""
    return float(np.abs(actual - forecast).sum() / actual.sum())


def bias(actual: Floats, forecast: Floats) -> float:
    """Forecast units over units sold, less one: below zero, too little was forecast."""
    return float(forecast.sum() / actual.sum() - 1)
