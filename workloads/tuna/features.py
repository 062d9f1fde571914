"""The features of a request. Training and serving both use this file. It imports only numpy and is stored with the model.

A request is about one brand in one week of the whole chain. Amounts are cans per week, prices are dollars per can. Requests
have no empty cells, so zero stands for "not known" wherever a price or an amount may be missing. The past ends with the last
week that is known when the order is placed, one to four weeks before the week to forecast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BRANDS = (
    "Star Kist 6 oz",
    "Chicken of the Sea 6 oz",
    "Bumble Bee Solid 6.12 oz",
    "Bumble Bee Chunk 6.12 oz",
    "Geisha 6 oz",
    "Bumble Bee Large Cans",
    "HH Chunk Lite 6.5 oz",
)
WEEKS = 13
"""Number of past weeks that a request contains: a quarter."""
OFFER = 0.05
"""A brand is on offer if the log of its price is below the log of its usual price by more than this (about 5 %)."""

_ELASTICITY = 3.0
"""Percent of units per percent of price, to compare past weeks at one price. A rough constant, which the model corrects."""
_LATEST = 4
"""Number of weeks of `median_4`."""
ROW_FEATURES = (
    "cut",
    "display",
    "cut_on_display",
    "rival_cut",
    "rival_display",
    "median_13",
    "median_4",
    "last",
    "at_this_price",
    "cut_to_last",
    "display_before",
    "brand",
)
"""The features of a row. Amounts are logarithms relative to the row's level. The last feature is always 1."""
FEATURES = tuple(f"{name} of {brand}" for brand in BRANDS for name in ROW_FEATURES)
"""Each brand has its own columns, which are zero in rows of other brands. So one linear model contains seven models, which are
fitted together."""


def numbered(name: str, count: int) -> list[str]:
    """Returns the column names of a group: `price_1`, `price_2`, ..."""
    return [f"{name}_{number}" for number in range(1, count + 1)]


def features(columns: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Returns the model's input: n rows of FEATURES, from columns with n numbers each. A data frame works, too."""
    own = row_features(columns)
    spread = np.zeros((len(own), len(BRANDS), len(ROW_FEATURES)), dtype=np.float32)
    spread[np.arange(len(own)), _brand(columns)] = own
    return spread.reshape(len(own), -1)


def level(columns: Mapping[str, Any]) -> Floats:
    """Returns the log of a brand's units in a week at its usual price: the median of such weeks, or of all if none."""
    units, prices, _ = _past(columns)
    at_usual_price = prices - _log(_own(columns, "usual_price"))[:, None] > -OFFER
    return _median(np.where(at_usual_price, units, np.nan), _median(units, np.zeros(len(units))))


def cut(columns: Mapping[str, Any]) -> Floats:
    """Returns log(planned price / usual price) of each row's brand. It is negative if the brand is cheaper than usual."""
    return np.nan_to_num(_log(_own(columns, "price")) - _log(_own(columns, "usual_price")))


def row_features(columns: Mapping[str, Any]) -> Floats:
    """Returns the features of each row: one column per name of ROW_FEATURES."""
    units, prices, displays = _past(columns)
    rows, own = np.arange(len(units)), np.arange(len(BRANDS)) == _brand(columns)[:, None]
    price, display = _log(_own(columns, "price")), _own(columns, "display")
    cuts = _log(_group(columns, "price")) - _log(_group(columns, "usual_price"))
    median, base = _median(units, np.zeros(len(units))), level(columns)
    latest = (~np.isnan(units)).argmax(axis=1)
    values = {
        "cut": cut(columns),
        "display": display,
        "cut_on_display": cut(columns) * display,
        "rival_cut": np.nan_to_num(np.fmin.reduce(np.where(own, np.nan, cuts), axis=1)),
        "rival_display": np.where(own, 0.0, _group(columns, "display")).sum(axis=1),
        "median_13": median - base,
        "median_4": _median(units[:, :_LATEST], base) - base,
        "last": np.nan_to_num(units[rows, latest] - base),
        "at_this_price": _median(units + _ELASTICITY * (prices - price[:, None]), median) - base,
        "cut_to_last": np.nan_to_num(price - prices[rows, latest]),
        "display_before": displays[rows, latest],
        "brand": np.ones(len(units)),
    }
    return np.stack([values[name] for name in ROW_FEATURES], axis=1)


def _group(columns: Mapping[str, Any], name: str, count: int = len(BRANDS)) -> Floats:
    return np.array([columns[each] for each in numbered(name, count)], dtype=np.float64).T


def _brand(columns: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Returns the index of each row's brand, from 0."""
    return np.asarray(columns["brand"], dtype=np.int64) - 1


def _own(columns: Mapping[str, Any], name: str) -> Floats:
    """Returns the value of each row's own brand."""
    values = _group(columns, name)
    return values[np.arange(len(values)), _brand(columns)]


def _past(columns: Mapping[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Returns logs of units, logs of prices, and displays of the past weeks, the latest week first."""
    units, prices, displays = (_group(columns, f"past_{name}", WEEKS) for name in ("units", "price", "display"))
    return _log(units), _log(prices), displays


def _log(values: Floats) -> Floats:
    """Returns logarithms, and NaN for zero, which means "not known"."""
    return np.log(np.where(values > 0, values, np.nan))


def _median(values: Floats, otherwise: Floats) -> Floats:
    """Returns the median of each row's known values, or `otherwise` if none is known. `np.nanmedian` would warn there."""
    ordered = np.sort(values, axis=1)  # NaN is sorted last
    count, rows = (~np.isnan(values)).sum(axis=1), np.arange(len(values))
    middle = [ordered[rows, place] for place in (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1))]
    return np.where(count > 0, np.mean(middle, axis=0), otherwise)
