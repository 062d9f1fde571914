"""The baselines: naive forecasts that the model must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workloads.markdown.features import WEEKS, names_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]

MEAN_WEEKS = 8


def last_week(requests: pd.DataFrame) -> Floats:
    """Returns the units of the latest week with sales within the quarter before."""
    past = _past(requests)
    known = past > 0
    latest = np.where(known, past, 0.0)[np.arange(len(past)), known.argmax(axis=1)]
    return np.where(known.any(axis=1), latest, _fallback(requests))


def mean8(requests: pd.DataFrame) -> Floats:
    """Returns the geometric mean of the latest eight weeks with sales within the quarter before.

    The mean is geometric because promotions skew the units. The arithmetic mean is a weaker baseline (0.72 instead of 0.60).
    """
    past = _past(requests)
    known = (past > 0) & (np.cumsum(past > 0, axis=1) <= MEAN_WEEKS)
    logs = np.where(known, np.log(np.where(past > 0, past, 1.0)), 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, np.exp(logs / np.maximum(count, 1)), _fallback(requests))


BASELINES = {"last_week": last_week, "mean8": mean8}


def _past(requests: pd.DataFrame) -> Floats:
    """Returns past units as rows x weeks, the latest week first. 0 marks weeks without sales."""
    return requests[names_of("past_units", WEEKS)].to_numpy(np.float64)


def _fallback(requests: pd.DataFrame) -> Floats:
    """Returns the mean units of the store's brands, for series without sales in the quarter before."""
    return requests["store_units"].to_numpy(np.float64)
