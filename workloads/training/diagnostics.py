"""Calibration and drift, the parts of the evidence beside the errors.

Pure functions of data frames and arrays. They return types of `workloads.evidence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.evidence import Bin, Drift, Quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

CALIBRATION_BINS = 20
DRIFT_BINS = 10
LEAST_SHARE = 1e-4
"""Lower bound of a share of rows, because the logarithm of zero is not finite."""
_QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def calibration(forecasts: pd.DataFrame, bins: int = CALIBRATION_BINS) -> tuple[Bin, ...]:
    """Sorts the rows by forecast into bins of equal size, and returns the mean forecast and the mean of units sold per bin."""
    cut = pd.qcut(forecasts["forecast"], bins, duplicates="drop")
    grouped = forecasts.groupby(cut, observed=True)
    means = grouped[["forecast", "units"]].mean()
    return tuple(
        Bin(forecast=float(forecast), actual=float(units), rows=int(rows))
        for forecast, units, rows in zip(means["forecast"], means["units"], grouped.size(), strict=True)
    )


def drift(training: Floats, backtest: Floats, names: Sequence[str]) -> dict[str, Drift]:
    """Compares each feature's distribution in the back-test with its distribution in the training data.

    Args:
        training: rows of the training data, one column per name; NaN marks a missing value.
        backtest: rows of the back-test, with the same columns.
        names: names of the features.
    """
    return {
        name: Drift(
            psi=stability(training[:, column], backtest[:, column]),
            training=quantiles(training[:, column]),
            backtest=quantiles(backtest[:, column]),
        )
        for column, name in enumerate(names)
    }


def stability(training: Floats, backtest: Floats) -> float:
    """Returns the population stability index: the sum over bins of (b - t) ln(b / t).

    b and t are the shares of back-test rows and of training rows in a bin. Each bin contains the same number of training rows.
    A feature with few distinct values has one bin per value. Missing values have a bin of their own.
    """
    known = training[~np.isnan(training)]
    distinct = np.unique(known)
    edges = distinct if len(distinct) <= DRIFT_BINS else np.unique(np.quantile(known, np.arange(1, DRIFT_BINS) / DRIFT_BINS))
    t, b = (np.maximum(_shares(values, edges), LEAST_SHARE) for values in (training, backtest))
    return float(((b - t) * np.log(b / t)).sum())


def quantiles(values: Floats) -> Quantiles:
    """Returns the quantiles of the known values, and the share of missing values (NaN)."""
    known = values[~np.isnan(values)]
    points = np.quantile(known, list(_QUANTILES.values())) if len(known) else np.zeros(len(_QUANTILES))
    missing = float(np.isnan(values).mean())
    return Quantiles(missing=missing, **{name: float(point) for name, point in zip(_QUANTILES, points, strict=True)})


def _shares(values: Floats, edges: Floats) -> npt.NDArray[np.float64]:
    """Returns the shares of rows in each bin: up to each edge, above the last edge, and missing."""
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.append(counts, len(values) - len(known)) / len(values)
