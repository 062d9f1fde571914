"""Pictures for people: is the model right on average, for which brands, and does it know what a price does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from workloads.markdown.diagnostics import CALIBRATION_BINS, PRICES, units_at
from workloads.markdown.features import BRANDS
from workloads.markdown.metrics import BASELINES, wape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workloads.markdown.model import Demand


def calibration(forecasts: pd.DataFrame) -> Figure:
    """Ounces sold against ounces forecast, in bins of as many rows."""
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    bins = pd.qcut(forecasts["forecast"], CALIBRATION_BINS, duplicates="drop")
    grouped = forecasts.groupby(bins, observed=True)
    middle = grouped["forecast"].median()
    axes.plot(middle, grouped["units"].median(), "o-", label="median sold")
    axes.plot(middle, grouped["units"].mean(), "s:", label="mean sold")
    axes.plot(middle, middle, "k--", linewidth=0.8, label="as forecast")
    axes.set(xscale="log", yscale="log", xlabel="forecast, ounces", ylabel="sold, ounces", title="Calibration in the back-test")
    axes.legend()
    return figure


def error_by_brand(forecasts: pd.DataFrame) -> Figure:
    """The error of the model and of the baselines, brand by brand."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    names = {"forecast": "model", **{name: name.replace("_", " ") for name in BASELINES}}
    errors = pd.DataFrame(
        {
            label: {
                brand: wape(part["units"].to_numpy(float), part[column].to_numpy(float))
                for brand, part in forecasts.groupby("brand")
            }
            for column, label in names.items()
        }
    )
    errors.plot.bar(ax=axes, width=0.8, rot=0)
    axes.set(xlabel="brand", ylabel="sum of errors / sum of units", title="Error by brand in the back-test")
    return figure


def price_response(requests: pd.DataFrame, model: Demand) -> Figure:
    """What the model expects to sell, at a price relative to the usual one, as a share of what it expects at the usual one.

    Args:
        requests: rows of one week; the median over the stores is drawn for each brand.
        model: what is asked.
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
    """What each brand would earn at the best prices, beside what it earns at the planned ones, by the model."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    by_brand = prices.groupby("brand")[["planned_earnings", "best_earnings"]].sum()
    by_brand.set_axis(["planned price", "best price"], axis="columns").plot.bar(ax=axes, width=0.8, rot=0)
    axes.set(xlabel="brand", ylabel="dollars a week, all stores", title="Earnings by the model, last learned week")
    return figure
