"""What the model sees of a request: the one function that training and serving share. Nothing but numpy: it travels.

A request asks for one brand in one week of the whole chain. Amounts are cans a week, prices dollars a can; zero stands for "not
known" where a price or an amount may be missing, since requests have no empty cells. The past ends with the last week that is
known when the order is placed, which is one to four weeks before the one that is asked for.
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
"""Weeks of its past a request carries: a quarter."""
OFFER = 0.05
"""A brand that costs less than its usual price by more than this is on offer; a logarithm, about a share."""

_ELASTICITY = 3.0
"""Percent of units per percent of price, to compare past weeks at one price. A fixed, round figure: the model corrects it."""
_LATEST = 4
"""Weeks of `median_4`."""
SEEN = (
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
"""What is seen of a row. Amounts are logarithms, over the row's level; the last one is 1."""
FEATURES = tuple(f"{name} of {brand}" for brand in BRANDS for name in SEEN)
"""Each brand has columns of its own, zero in the others' rows, so that one linear model is seven that are fitted together."""


def numbered(name: str, count: int) -> list[str]:
    """The columns of a group: `price_1`, `price_2`, ..."""
    return [f"{name}_{number}" for number in range(1, count + 1)]


def features(columns: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The model's input: n rows of FEATURES for a request's columns, each of n numbers; a data frame will do."""
    own = seen(columns)
    spread = np.zeros((len(own), len(BRANDS), len(SEEN)), dtype=np.float32)
    spread[np.arange(len(own)), _brand(columns)] = own
    return spread.reshape(len(own), -1)


def level(columns: Mapping[str, Any]) -> Floats:
    """Log of what a row's brand sells in a week at its usual price: the median of such weeks, else of all known ones."""
    units, prices, _ = _past(columns)
    at_usual_price = prices - _log(_own(columns, "usual_price"))[:, None] > -OFFER
    return _median(np.where(at_usual_price, units, np.nan), _median(units, np.zeros(len(units))))


def cut(columns: Mapping[str, Any]) -> Floats:
    """Log of each row's planned price over its brand's usual one: below zero it is cheaper."""
    return np.nan_to_num(_log(_own(columns, "price")) - _log(_own(columns, "usual_price")))


def seen(columns: Mapping[str, Any]) -> Floats:
    """What is seen of each row: a column for each of SEEN."""
    units, prices, displays = _past(columns)
    rows, own = np.arange(len(units)), np.arange(len(BRANDS)) == _brand(columns)[:, None]
    price, display = _log(_own(columns, "price")), _own(columns, "display")
    cuts = _log(_group(columns, "price")) - _log(_group(columns, "usual_price"))
    median, base = _median(units, np.zeros(len(units))), level(columns)
    latest = (~np.isnan(units)).argmax(axis=1)
    found = {
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
    return np.stack([found[name] for name in SEEN], axis=1)


def _group(columns: Mapping[str, Any], name: str, count: int = len(BRANDS)) -> Floats:
    return np.array([columns[each] for each in numbered(name, count)], dtype=np.float64).T


def _brand(columns: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Place of each row's brand."""
    return np.asarray(columns["brand"], dtype=np.int64) - 1


def _own(columns: Mapping[str, Any], name: str) -> Floats:
    """The value of each row's own brand."""
    values = _group(columns, name)
    return values[np.arange(len(values)), _brand(columns)]


def _past(columns: Mapping[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Logs of units, logs of prices, and displays of the past weeks, the latest first."""
    units, prices, displays = (_group(columns, f"past_{name}", WEEKS) for name in ("units", "price", "display"))
    return _log(units), _log(prices), displays


def _log(values: Floats) -> Floats:
    """NaN for zero, which stands for not known."""
    return np.log(np.where(values > 0, values, np.nan))


def _median(values: Floats, otherwise: Floats) -> Floats:
    """Of each row's known values; `otherwise` where none is known. numpy's own warns about such rows."""
    ordered = np.sort(values, axis=1)  # NaN come last
    count, rows = (~np.isnan(values)).sum(axis=1), np.arange(len(values))
    middle = [ordered[rows, place] for place in (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1))]
    return np.where(count > 0, np.mean(middle, axis=0), otherwise)
