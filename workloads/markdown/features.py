"""What the model sees of a request: the one function that training and serving share.

Nothing but numpy, so that the file can travel with the model into a server of another numpy than the one it was trained with. All
statistics are over the request's own columns; there is no state.

Units of measure: amounts are ounces of juice a week in one store (a carton has 64), prices are dollars per ounce. Zero stands for
"not sold" or "not known" wherever a price or an amount may be missing, since requests have no empty cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BRANDS = 11
WEEKS = 13
"""Weeks of its own history a request carries: a quarter."""
USUAL_WEEKS = 8
"""Weeks that a brand's usual price is the mean of."""

_ELASTICITY = 2.5
"""Percent of units per percent of price, to compare past weeks at one price. A fixed, round figure: the model corrects it."""
_TYPICAL_LOG_UNITS = 8.4
"""Log of a middling week, the level of a series without any history."""
_WINDOWS = (4, 8, 13)
_RECENT = 4
"""Weeks that features show one by one."""

Inputs = tuple[tuple[str, int], ...]
INPUTS: Inputs = (
    ("brand", 1),
    ("deal", 1),
    ("price", BRANDS),
    ("feat", BRANDS),
    ("usual_price", BRANDS),
    ("chain_price", 1),
    ("chain_spread", 1),
    ("chain_same", 1),
    ("chain_deal", 1),
    ("chain_units", 1),
    ("store_units", 1),
    ("past_units", WEEKS),
    ("past_price", WEEKS),
    ("past_deal", WEEKS),
    ("past_feat", WEEKS),
)
"""Groups of request columns and how many there are: `price` with 11 is `price_1` to `price_11`; groups of one have no number."""


def names_of(group: str, count: int) -> list[str]:
    """The columns of a group."""
    return [group] if count == 1 else [f"{group}_{number}" for number in range(1, count + 1)]


INPUT_NAMES: tuple[str, ...] = tuple(name for group, count in INPUTS for name in names_of(group, count))


def features(columns: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The model's input.

    Args:
        columns: INPUT_NAMES and perhaps more, each of n numbers; a data frame will do.

    Returns:
        n rows of `FEATURES`, float32. NaN where a feature has no meaning, which the model knows how to take.
    """
    return _matrix(columns)[1]


def _matrix(columns: Mapping[str, Any]) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    request = {
        group: np.stack([np.asarray(columns[name], dtype=np.float64) for name in names_of(group, count)], axis=1)
        for group, count in INPUTS
    }
    parts: dict[str, Floats] = {}
    with np.errstate(all="ignore"):
        _plan(request, parts)
        _history(request, parts)
        _rivals(request, parts)
    return tuple(parts), np.stack(list(parts.values()), axis=1).astype(np.float32)


def _plan(request: dict[str, Floats], parts: dict[str, Floats]) -> None:
    """The week to predict: own price and offers, and how alike the chain's stores are. A price ad makes all stores alike."""
    brand = request["brand"][:, 0].astype(np.int64) - 1
    price = _log(_pick(request["price"], brand))
    chain_price = _log(request["chain_price"][:, 0])
    parts["price"] = price
    parts["deal"] = request["deal"][:, 0]
    parts["feat"] = _pick(request["feat"], brand)
    parts["brand"] = request["brand"][:, 0]
    parts["chain_price"] = chain_price
    parts["price_to_chain"] = price - chain_price
    for name in ("chain_spread", "chain_same", "chain_deal"):
        parts[name] = request[name][:, 0]
    parts["chain_units"] = _log(request["chain_units"][:, 0])
    parts["store_units"] = _log(request["store_units"][:, 0])


def _history(request: dict[str, Floats], parts: dict[str, Floats]) -> None:
    """The series' own past: levels, discount depth against it, offers and how long ago they were."""
    price = parts["price"]
    sold = request["past_units"] > 0
    units, prices = _log(request["past_units"]), _log(request["past_price"])
    deals, feats = (np.where(sold, request[name], np.nan) for name in ("past_deal", "past_feat"))
    for week in range(USUAL_WEEKS):
        parts[f"units_{week + 1}"] = units[:, week]
    for week in range(_RECENT):
        parts[f"price_to_{week + 1}"] = price - prices[:, week]
        parts[f"deal_{week + 1}"], parts[f"feat_{week + 1}"] = deals[:, week], feats[:, week]
    for window in _WINDOWS:
        recent = slice(None, window)
        for name, statistic in _STATISTICS.items():
            parts[f"units_{name}_{window}"] = statistic(units[:, recent])
        for name in ("max", "mean", "min"):
            parts[f"price_to_{name}_{window}"] = price - _STATISTICS[name](prices[:, recent])
        parts[f"deals_{window}"], parts[f"feats_{window}"] = _mean(deals[:, recent]), _mean(feats[:, recent])
    plain = np.where((deals == 0) & (feats == 0), units, np.nan)
    parts["units_plain_mean_8"] = _mean(plain[:, :8])
    parts["units_on_deal"] = _median(np.where(deals == 1, units, np.nan))
    parts["units_on_feat"] = _median(np.where(feats == 1, units, np.nan))
    parts["units_on_feat_max"] = _maximum(np.where(feats == 1, units, np.nan))
    parts["weeks_since_deal"], parts["weeks_since_feat"] = _weeks_since(deals), _weeks_since(feats)
    at_this_price = units + _ELASTICITY * (prices - price[:, None])
    known = parts["store_units"]
    level = _first(parts["units_median_13"], known, parts["chain_units"], np.full_like(price, _TYPICAL_LOG_UNITS))
    parts["level_8"] = _first(_median(at_this_price[:, :8]), level)
    parts["level_13"] = _first(_median(at_this_price), level)
    parts["level_plain"] = _first(_median(plain), level)
    parts["level"] = _first(parts["units_median_8"], level)


def _rivals(request: dict[str, Floats], parts: dict[str, Floats]) -> None:
    """The other ten brands in the same store and week. Differences of logs, so that a higher own price only ever raises them."""
    brand = request["brand"][:, 0].astype(np.int64) - 1
    price = parts["price"]
    own = np.arange(BRANDS)[None, :] == brand[:, None]
    prices = np.where(own, np.nan, _log(request["price"]))
    ordered = np.sort(prices, axis=1)
    parts["price_to_cheapest"] = price - ordered[:, 0]
    parts["price_to_second"] = price - ordered[:, 1]
    parts["price_to_rivals"] = price - _mean(prices)
    moved = prices - _log(request["usual_price"])
    feats = np.where(own, 0.0, request["feat"])
    parts["rival_feats"] = feats.sum(axis=1)
    for rival in range(BRANDS):
        number = rival + 1
        parts[f"price_to_brand_{number}"] = price - prices[:, rival]
        parts[f"moved_{number}"] = moved[:, rival]
        parts[f"feat_of_{number}"] = feats[:, rival]


def _pick(values: Floats, place: npt.NDArray[np.int64]) -> Floats:
    """Of each row the value at its place."""
    return np.take_along_axis(values, place[:, None], axis=1)[:, 0]


def _log(values: Floats) -> Floats:
    """NaN for zero, which stands for not known."""
    return np.log(np.where(values > 0, values, np.nan))


def _mean(values: Floats) -> Floats:
    """Means of rows, NaN aside. numpy's own warns about rows without a value."""
    known = ~np.isnan(values)
    return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)


def _median(values: Floats) -> Floats:
    ordered = np.sort(values, axis=1)  # NaN come last
    count = (~np.isnan(values)).sum(axis=1)
    lower = _pick(ordered, np.maximum(count - 1, 0) // 2)
    return (lower + _pick(ordered, np.minimum(count // 2, values.shape[1] - 1))) / 2


def _maximum(values: Floats) -> Floats:
    highest = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    return np.where(np.isfinite(highest), highest, np.nan)


def _minimum(values: Floats) -> Floats:
    return -_maximum(-values)


_STATISTICS: dict[str, Callable[[Floats], Floats]] = {
    "mean": _mean,
    "median": _median,
    "min": _minimum,
    "max": _maximum,
}


def _weeks_since(flags: Floats) -> Floats:
    """How many weeks ago a flag was last set; NaN where it was not."""
    set_ = flags == 1
    return np.where(set_.any(axis=1), set_.argmax(axis=1) + 1.0, np.nan)


def _first(*choices: Floats) -> Floats:
    """Of each row the first that is known."""
    found = choices[0]
    for choice in choices[1:]:
        found = np.where(np.isnan(found), choice, found)
    return found


FEATURES: tuple[str, ...] = _matrix({name: np.ones(1) for name in INPUT_NAMES})[0]
"""The features' names, in the order of the matrix's columns."""
LEVELS: tuple[str, ...] = ("level_8", "level_plain", "level_13", "level")
"""Features that are log levels of the series and never NaN: the model predicts deviations from them."""
SEEN: tuple[str, ...] = tuple(name for name in FEATURES if name not in {"level_8", "level_13"})
"""The features that trees may split on. Levels at the planned price are left out: they fall as it rises, and a tree that took a
low level for a sign of recovery would have sales rise with the price."""
FALLING: frozenset[str] = frozenset(
    name for name in FEATURES if name in {"price", "chain_price"} or name.startswith("price_to_")
)
"""Features that rise with the own price and may only lower the prediction: at a higher price, no more is sold."""
