"""The price response of the model, a part of the evidence. Returns types of `workloads.evidence`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workloads.evidence import PricePoint, Response
from workloads.markdown.features import BRANDS, inputs_of, own_price
from workloads.markdown.serving import features_of_request

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from workloads.training.onnx import Predictor

PRICES = tuple(round(0.6 + 0.05 * step, 2) for step in range(13))
"""Prices of the price response, relative to the usual price: 0.6 to 1.2."""
RESPONSE_ROWS = 2000
"""Number of requests that are forecast at each price. More requests give the same result, and take longer than the rest of the
back-test."""


def response(requests: pd.DataFrame, model: Predictor) -> Response | None:
    """Returns the mean forecasts when every request has the same price relative to its usual price.

    Uses an evenly spaced sample of the requests whose usual price and cost are known. Returns None if there is no such request.
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
    """Returns the usual price of each row's own brand, or 0 if there is none."""
    names = [f"usual_price_{brand}" for brand in range(1, BRANDS + 1)]
    return requests[names].to_numpy(np.float64)[np.arange(len(requests)), requests["brand"].to_numpy(np.int64) - 1]


def units_at(requests: pd.DataFrame, model: Predictor, price: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the forecast of each request at another price of its own brand. The chain's price changes by the same factor."""
    own = own_price(inputs_of(requests))
    brand = requests["brand"].to_numpy(np.int64)
    changed = {
        f"price_{number}": np.where(brand == number, price, requests[f"price_{number}"].to_numpy(np.float64))
        for number in range(1, BRANDS + 1)
    }
    chain = requests["chain_price"].to_numpy(np.float64) * price / own
    return model.predict(features_of_request(requests.assign(**changed, chain_price=chain)))
