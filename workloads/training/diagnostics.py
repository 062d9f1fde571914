"""What the evidence says beside the errors: is the model right on average, were the rows like those it learned from.

Pure functions of frames and arrays, as types of `workloads.evidence`.
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
"""A share of rows is taken to be at least this: the logarithm of none is not a number."""
_QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def calibration(forecasts: pd.DataFrame, bins: int = CALIBRATION_BINS) -> tuple[Bin, ...]:
    """Mean forecast and mean of what was sold, in bins of as many rows by the size of the forecast."""
    cut = pd.qcut(forecasts["forecast"], bins, duplicates="drop")
    grouped = forecasts.groupby(cut, observed=True)
    means = grouped[["forecast", "units"]].mean()
    return tuple(
        Bin(forecast=float(forecast), actual=float(units), rows=int(rows))
        for forecast, units, rows in zip(means["forecast"], means["units"], grouped.size(), strict=True)
    )


def drift(training: Floats, backtest: Floats, names: Sequence[str]) -> dict[str, Drift]:
    """How far each feature's distribution in the back-test is from that in training.

    Args:
        training: rows that were learned from, a column for each name; NaN where a feature is not known.
        backtest: rows of the back-test.
        names: the features.
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
    """The population stability index: the sum over bins of (b - t) ln(b / t), of the shares of rows in both.

    Bins hold as many rows of training each; a feature of few values has a bin for each value; not known is a bin as well.
    """
    known = training[~np.isnan(training)]
    distinct = np.unique(known)
    edges = distinct if len(distinct) <= DRIFT_BINS else np.unique(np.quantile(known, np.arange(1, DRIFT_BINS) / DRIFT_BINS))
    was, now = (np.maximum(_shares(values, edges), LEAST_SHARE) for values in (training, backtest))
    return float(((now - was) * np.log(now / was)).sum())


def quantiles(values: Floats) -> Quantiles:
    """Where the known ones lie."""
    known = values[~np.isnan(values)]
    places = np.quantile(known, list(_QUANTILES.values())) if len(known) else np.zeros(len(_QUANTILES))
    missing = float(np.isnan(values).mean())
    return Quantiles(missing=missing, **{name: float(place) for name, place in zip(_QUANTILES, places, strict=True)})


def _shares(values: Floats, edges: Floats) -> npt.NDArray[np.float64]:
    """Shares of rows up to each edge, above the last, and not known."""
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.append(counts, len(values) - len(known)) / len(values)
