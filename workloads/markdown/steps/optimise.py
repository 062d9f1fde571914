"""Step `optimise`: for the last training week of every store and brand, the price with the highest forecast earnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd

from workloads.markdown import weeks
from workloads.markdown.features import inputs_of, own_price
from workloads.markdown.serving import answer, bounds, features_of_request
from workloads.markdown.steps.assemble import ASSEMBLED
from workloads.markdown.steps.train import MODEL

if TYPE_CHECKING:
    from workloads.context import Context
    from workloads.markdown.model import Demand

PRICES = "prices.parquet"


def run(context: Context) -> None:
    """Writes the best price of each series, and emits the gain in earnings as a metric."""
    frame = pd.read_parquet(context.input(ASSEMBLED))
    model: Demand = joblib.load(context.input(MODEL))
    last = frame[frame["week"] <= weeks.LAST].sort_values("week").groupby(["store", "brand"], sort=True).tail(1)
    best = best_prices(last, model)
    best.to_parquet(context.output(PRICES), index=False)
    context.metric("optimised_earnings_gain", float(best["best_earnings"].sum() / best["planned_earnings"].sum() - 1))


def best_prices(requests: pd.DataFrame, model: Demand) -> pd.DataFrame:
    """Returns the best price of each request, computed as the endpoint computes it.

    Returns:
        Columns store, brand, week, cost, planned_price, lowest_price and highest_price (the bounds), planned_units,
        planned_earnings, best_price, best_units, best_earnings. Prices are dollars per ounce, units are ounces a week, earnings
        are dollars a week. Units and earnings are forecasts of the model.
    """
    requests = requests.assign(optimise=True)
    names, rows = answer(requests, model.predict(features_of_request(requests)).astype(np.float32))
    best = pd.DataFrame(rows, columns=list(names), index=requests.index)
    inputs = inputs_of(requests)
    low, high = bounds(inputs)
    price = own_price(inputs)
    best = best.assign(
        planned_price=price,
        lowest_price=low,
        highest_price=high,
        planned_units=best["units"],
        planned_earnings=(price - requests["cost"].to_numpy()) * best["units"],
    ).drop(columns=["units", "revenue"])
    return pd.concat([requests[["store", "brand", "week", "cost"]], best], axis=1)
