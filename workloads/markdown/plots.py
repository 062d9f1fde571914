"""Plots of the price response, in addition to those of `workloads.training.plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from workloads.markdown.features import BRANDS
from workloads.markdown.response import PRICES, units_at

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from workloads.markdown.model import Demand


def price_response(requests: pd.DataFrame, model: Demand) -> Figure:
    """Plots the forecast at a price relative to the forecast at the usual price, over the price relative to the usual price.

    Args:
        requests: rows of one week. The plot shows the median over the stores for each brand.
        model: the model that forecasts.
    """
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    colours = plt.get_cmap("tab20")
    for brand in range(1, BRANDS + 1):
        rows = requests[requests["brand"] == brand]
        usual = rows[f"usual_price_{brand}"].to_numpy(float)
        rows = rows[usual > 0]
        if rows.empty:
            continue
        usual = usual[usual > 0]
        curves = [units_at(rows, model, usual * step) for step in PRICES]
        reference = units_at(rows, model, usual)
        axes.plot(PRICES, [np.median(curve / reference) for curve in curves], color=colours(brand), label=f"brand {brand}")
    axes.set(yscale="log", xlabel="price / usual price", ylabel="units / units at the usual price", title="Price response")
    axes.legend(ncols=2, fontsize=8)
    return figure


def earnings(prices: pd.DataFrame) -> Figure:
    """Plots the forecast earnings of each brand at the best prices beside those at the planned prices."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    by_brand = prices.groupby("brand")[["planned_earnings", "best_earnings"]].sum()
    by_brand.set_axis(["planned price", "best price"], axis="columns").plot.bar(ax=axes, width=0.8, rot=0)
    axes.set(xlabel="brand", ylabel="dollars a week, all stores", title="Earnings by the model, last learned week")
    return figure
