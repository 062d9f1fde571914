"""Step `optimise`: for the last known week of every store and brand, the price that would have earned most."""

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
    """Writes the best price of each series, and tells how much more it would earn."""
    frame = pd.read_parquet(context.folder / ASSEMBLED)
    model: Demand = joblib.load(context.folder / MODEL)
    last = frame[frame["week"] <= weeks.LAST].sort_values("week").groupby(["store", "brand"], sort=True).tail(1)
    best = best_prices(last, model)
    best.to_parquet(context.folder / PRICES, index=False)
    context.metric("optimised_earnings_gain", float(best["best_earnings"].sum() / best["planned_earnings"].sum() - 1))


def best_prices(requests: pd.DataFrame, model: Demand) -> pd.DataFrame:
    """The best price of each request, found as the endpoint finds it.

    Returns:
        Columns store, brand, week, cost, planned_price, lowest_price and highest_price (the bounds), planned_units,
        planned_earnings, best_price, best_units, best_earnings. Dollars per ounce, ounces and dollars a week, by the model.
    """
    asked = requests.assign(optimise=True)
    names, rows = answer(asked, model.predict(features_of_request(asked)).astype(np.float32))
    found = pd.DataFrame(rows, columns=list(names), index=asked.index)
    inputs = inputs_of(asked)
    low, high = bounds(inputs)
    price = own_price(inputs)
    found = found.assign(
        planned_price=price,
        lowest_price=low,
        highest_price=high,
        planned_units=found["units"],
        planned_earnings=(price - asked["cost"].to_numpy()) * found["units"],
    ).drop(columns=["units", "revenue"])
    return pd.concat([asked[["store", "brand", "week", "cost"]], found], axis=1)
