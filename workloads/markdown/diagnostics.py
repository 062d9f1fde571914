"""What the evidence says beside the errors: is the model right on average, what does a price do, were the rows like these.

Pure functions of frames and arrays, as types of `workloads.evidence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.evidence import Bin, Drift, PricePoint, Quantiles, Response
from workloads.markdown.features import BRANDS, inputs_of, own_price
from workloads.markdown.serving import features_of_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from workloads.markdown.model import Demand

    Floats = npt.NDArray[np.floating]

PRICES = tuple(round(0.6 + 0.05 * step, 2) for step in range(13))
"""Prices of the price response, relative to the usual one: 0.6 to 1.2."""
RESPONSE_ROWS = 2000
"""Requests that are asked at each of the prices: more say the same, and take longer than all the rest of the back-test."""
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


def response(requests: pd.DataFrame, model: Demand) -> Response | None:
    """What the model expects of requests whose usual price and cost are known, each at the same share of its usual price.

    None where there is no such request. Of many, some are taken, evenly.
    """
    known = requests[(usual_price(requests) > 0) & (requests["cost"] > 0)]
    if known.empty:
        return None
    known = known.iloc[np.unique(np.linspace(0, len(known) - 1, RESPONSE_ROWS).round().astype(np.int64))]
    usual, cost = usual_price(known), known["cost"].to_numpy(np.float64)
    points: list[PricePoint] = []
    for share in PRICES:
        units = units_at(known, model, usual * share)
        earned = (usual * share - cost) * units
        points.append(PricePoint(price=share, units=float(units.mean()), earnings=float(earned.mean())))
    return Response(earnings_unit="dollars of gross profit a week", points=tuple(points))


def usual_price(requests: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The usual price of each row's own brand, 0 where there is none."""
    names = [f"usual_price_{brand}" for brand in range(1, BRANDS + 1)]
    return requests[names].to_numpy(np.float64)[np.arange(len(requests)), requests["brand"].to_numpy(np.int64) - 1]


def units_at(requests: pd.DataFrame, model: Demand, price: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What the model expects of each request at another price of its own brand. The chain's price moves along."""
    own = own_price(inputs_of(requests))
    brand = requests["brand"].to_numpy(np.int64)
    moved = {
        f"price_{number}": np.where(brand == number, price, requests[f"price_{number}"].to_numpy(np.float64))
        for number in range(1, BRANDS + 1)
    }
    chain = requests["chain_price"].to_numpy(np.float64) * price / own
    return model.predict(features_of_request(requests.assign(**moved, chain_price=chain)))


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
