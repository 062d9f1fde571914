"""Plots for every back-test: the calibration, and the errors of model and baselines per slice."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd

from workloads.training.diagnostics import CALIBRATION_BINS
from workloads.training.metrics import wape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

LABEL_WIDTH = 14
"""Characters per line of a label. Longer labels are wrapped, so that they do not overlap."""


def calibration(forecasts: pd.DataFrame, unit: str) -> Figure:
    """Plots units sold against forecast units, in bins with equal numbers of rows."""
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    bins = pd.qcut(forecasts["forecast"], CALIBRATION_BINS, duplicates="drop")
    grouped = forecasts.groupby(bins, observed=True)
    middle = grouped["forecast"].median()
    axes.plot(middle, grouped["units"].median(), "o-", label="median sold")
    axes.plot(middle, grouped["units"].mean(), "s:", label="mean sold")
    axes.plot(middle, middle, "k--", linewidth=0.8, label="as forecast")
    axes.set(
        xscale="log", yscale="log", xlabel=f"forecast, {unit}", ylabel=f"sold, {unit}", title="Calibration in the back-test"
    )
    axes.legend()
    return figure


def error_by(dimension: str, forecasts: pd.DataFrame, baselines: Sequence[str]) -> Figure:
    """Plots the error of the model and of the baselines for each slice of a dimension."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    names = {"forecast": "model", **{name: name.replace("_", " ") for name in baselines}}
    errors = pd.DataFrame(
        {
            label: {
                fill(str(name), LABEL_WIDTH): wape(part["units"].to_numpy(float), part[column].to_numpy(float))
                for name, part in forecasts.groupby(dimension)
            }
            for column, label in names.items()
        }
    )
    errors.plot.bar(ax=axes, width=0.8, rot=0)
    axes.set(xlabel=dimension, ylabel="sum of errors / sum of units", title=f"Error by {dimension} in the back-test")
    return figure
