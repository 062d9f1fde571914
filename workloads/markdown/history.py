"""Builds requests from a store's panel: for every brand and week with sales, the row that a caller would have sent before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.markdown.features import BRANDS, FEATURES, USUAL_WEEKS, WEEKS, features, inputs_of, names_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

KEYS = ("store", "brand", "week")
CHAIN = ("chain_price", "chain_spread", "chain_same", "chain_deal", "chain_units")
PANEL = (*KEYS, "units", "deal", "feat", "cost", *names_of("price", BRANDS), *CHAIN)
"""The columns that `requests_of_store` needs, with one row per store, brand and week with sales."""


def requests_of_store(panel: pd.DataFrame) -> pd.DataFrame:
    """Builds the requests of one store.

    Args:
        panel: the columns PANEL of one store. `chain_*` are for the row's brand and week, `chain_units` for the week before.

    Returns:
        One row per row of the panel, sorted by brand and week: KEYS, `units` (units sold, the target), and the columns of the
        request. Columns about sales, costs or past prices use earlier weeks only, so that there is no leakage.
    """
    panel = panel.sort_values(["brand", "week"], ignore_index=True)
    first = int(panel["week"].min())
    brand = panel["brand"].to_numpy(np.int64) - 1
    week = panel["week"].to_numpy(np.int64) - first
    size = int(week.max()) + 1

    def grid(column: str) -> Floats:
        """Returns a matrix of brands x weeks. NaN marks weeks without sales."""
        values = np.full((BRANDS, size), np.nan)
        values[brand, week] = panel[column].to_numpy(np.float64)
        return values

    prices = panel[names_of("price", BRANDS)].to_numpy(np.float64)
    shelf = np.full((BRANDS, size), np.nan)
    shelf[:, week] = prices.T  # all rows of a week contain the same eleven prices
    units, own, deals, feats, costs = grid("units"), _own(prices, brand, week, size), grid("deal"), grid("feat"), grid("cost")

    columns: dict[str, npt.NDArray[np.generic]] = {name: panel[name].to_numpy() for name in (*KEYS, "units", "deal", *CHAIN)}
    for number, name in enumerate(names_of("price", BRANDS)):
        columns[name] = prices[:, number]
    now = np.nan_to_num(feats)
    usual = _mean_before(shelf, USUAL_WEEKS)
    for number in range(BRANDS):
        columns[f"feat_{number + 1}"] = now[number, week]
        columns[f"usual_price_{number + 1}"] = usual[number, week]
    logs = np.log(units)
    by_week = _row_means(logs)[None, :]
    store = np.exp(_mean_before(by_week, USUAL_WEEKS)[0])
    has_past = _mean_before(np.where(np.isnan(by_week), np.nan, 1.0), USUAL_WEEKS)[0] > 0
    columns["store_units"] = np.where(has_past, store, 0.0)[week]
    for name, values in (("past_units", units), ("past_price", own), ("past_deal", deals), ("past_feat", feats)):
        for back in range(1, WEEKS + 1):
            columns[f"{name}_{back}"] = np.nan_to_num(_before(values, back))[brand, week]
    columns["cost"] = _last_before(costs)[brand, week]
    columns["optimise"] = np.zeros(len(panel), dtype=bool)
    return pd.DataFrame(columns)


def with_features(requests: pd.DataFrame) -> pd.DataFrame:
    """Returns the requests with additional columns for their features, whose names start with `x_`."""
    matrix = pd.DataFrame(features(inputs_of(requests)), columns=[f"x_{name}" for name in FEATURES], index=requests.index)
    return pd.concat([requests, matrix], axis=1)


def matrix_of(frame: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Returns the matrix of the features that `with_features` has added to a frame."""
    return frame[[f"x_{name}" for name in FEATURES]].to_numpy(np.float32)


def _own(prices: Floats, brand: npt.NDArray[np.int64], week: npt.NDArray[np.int64], size: int) -> Floats:
    values = np.full((BRANDS, size), np.nan)
    values[brand, week] = prices[np.arange(len(brand)), brand]
    return values


def _before(values: Floats, weeks: int) -> Floats:
    """Shifts the values by `weeks` weeks: each week gets the value of `weeks` weeks before, or NaN if there is none."""
    shifted = np.full_like(values, np.nan)
    if weeks < values.shape[1]:
        shifted[:, weeks:] = values[:, :-weeks]
    return shifted


def _mean_before(values: Floats, weeks: int) -> Floats:
    """Returns the mean over the `weeks` weeks before each week, or 0 if none of them is known."""
    past = np.stack([_before(values, back) for back in range(1, weeks + 1)])
    known = ~np.isnan(past)
    return np.where(known, past, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _row_means(values: Floats) -> Floats:
    """Returns means over the brands, or NaN if no brand is known."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _last_before(values: Floats) -> Floats:
    """Returns the last known value before each week, or 0 if there is none."""
    past = pd.DataFrame(_before(values, 1).T).ffill().to_numpy().T
    return np.nan_to_num(past)
