"""The features of a request. Training and serving both use the function `features` of this file.

The file imports only numpy, so that it can be stored with the model and run in a server with another version of numpy than the
training. All statistics are computed from the columns of the request itself; there is no state. A server calls this for one row
at a time. Then the overhead of a numpy call exceeds its work, so statistics of one kind are computed together.

Units of measure: amounts are ounces of juice per week in one store (a carton has 64 ounces), prices are dollars per ounce.
Requests have no empty cells, so zero stands for "not sold" or "not known" wherever a price or an amount may be missing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BRANDS = 11
WEEKS = 13
"""Number of past weeks that a request contains: a quarter."""
USUAL_WEEKS = 8
"""Number of past weeks whose mean is the usual price of a brand."""

_ELASTICITY = 2.5
"""Percent of units per percent of price, to compare past weeks at one price. A rough constant, which the model corrects."""
_TYPICAL_LOG_UNITS = 8.4
"""Log of the units in an average week: the level of a series without any history."""
_WINDOWS = (4, 8, 13)
_RECENT = 4
"""Number of past weeks that have their own features. For units it is twice this number."""

INPUTS: tuple[tuple[str, int], ...] = (
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
"""Groups of request columns and their sizes: `price` with 11 is `price_1` to `price_11`. A group of one has no number."""


def names_of(group: str, count: int) -> list[str]:
    """Returns the column names of a group."""
    return [group] if count == 1 else [f"{group}_{number}" for number in range(1, count + 1)]


def _slices() -> Iterator[tuple[str, slice]]:
    start = 0
    for group, count in INPUTS:
        yield group, slice(start, start + count)
        start += count


INPUT_NAMES: tuple[str, ...] = tuple(name for group, count in INPUTS for name in names_of(group, count))
PLACES: dict[str, slice] = dict(_slices())
"""The columns of each group in the matrix that `inputs_of` returns."""
_PAST = slice(PLACES["past_units"].start, PLACES["past_feat"].stop)
_RIVALS = range(1, BRANDS + 1)
_ALL_BRANDS = np.arange(1, BRANDS + 1)
_LAST_WEEKS = range(1, _RECENT + 1)
_ENDS = [window - 1 for window in _WINDOWS]
_EIGHT = np.where(np.arange(WEEKS) < USUAL_WEEKS, 0.0, np.nan)
_FOUR = np.where(np.arange(WEEKS) < _RECENT, 0.0, np.nan)
"""Masks: added to thirteen weeks, they set all weeks but the latest eight (or four) to NaN."""


def inputs_of(columns: Mapping[str, Any]) -> Floats:
    """Returns the request's numbers as one matrix, with one column per name of INPUT_NAMES.

    Args:
        columns: at least the columns INPUT_NAMES, each with n numbers. A data frame works, too.
    """
    return np.array([columns[name] for name in INPUT_NAMES], dtype=np.float64).T


def features(inputs: Floats) -> npt.NDArray[np.float32]:
    """Returns the model's input: n rows of `FEATURES`, float32, from n rows of INPUT_NAMES. NaN marks an undefined feature."""
    with np.errstate(all="ignore"):
        return np.concatenate(list(_blocks(inputs).values()), axis=1, dtype=np.float32, casting="same_kind")


def own_price(inputs: Floats) -> Floats:
    """Returns the planned price of each row's own brand."""
    return inputs[np.arange(len(inputs)), PLACES["price"].start + inputs[:, 0].astype(np.int64) - 1]


def _blocks(inputs: Floats) -> dict[tuple[str, ...], Floats]:
    """Returns the features in blocks of columns, by their names."""
    own = inputs[:, :1] == _ALL_BRANDS
    logs = np.log(np.where(inputs > 0, inputs, np.nan))  # zero means "not known"
    price = logs[:, PLACES["price"]][own][:, None]
    blocks: dict[tuple[str, ...], Floats] = {}
    _plan(inputs, logs, price, own, blocks)
    _history(inputs, logs, price, blocks)
    _rivals(inputs, logs, price, own, blocks)
    return blocks


def _plan(
    inputs: Floats, logs: Floats, price: Floats, own: npt.NDArray[np.bool_], blocks: dict[tuple[str, ...], Floats]
) -> None:
    """The predicted week: own price and offers, and how similar the stores' prices are. A price ad makes all stores similar."""
    chain_price = logs[:, PLACES["chain_price"]]
    blocks[("price",)] = price
    blocks[("price_to_chain",)] = price - chain_price
    blocks[("chain_price",)] = chain_price
    blocks["brand", "deal"] = inputs[:, PLACES["brand"].start : PLACES["deal"].stop]
    blocks[("feat",)] = inputs[:, PLACES["feat"]][own][:, None]
    blocks["chain_spread", "chain_same", "chain_deal"] = inputs[:, PLACES["chain_spread"].start : PLACES["chain_deal"].stop]
    blocks["chain_units", "store_units"] = logs[:, PLACES["chain_units"].start : PLACES["store_units"].stop]


def _history(inputs: Floats, logs: Floats, price: Floats, blocks: dict[tuple[str, ...], Floats]) -> None:
    """The past of the series: levels, price relative to past prices, offers, and the number of weeks since the last offer."""
    past = inputs[:, _PAST].reshape(-1, 4, WEEKS)
    known = logs[:, _PAST].reshape(-1, 4, WEEKS)[:, :2]
    units, prices = known[:, 0], known[:, 1]
    offers = np.where(past[:, :1] > 0, past[:, 2:], np.nan)
    deals, feats = offers[:, 0], offers[:, 1]
    blocks[_named("units", over=range(1, 2 * _RECENT + 1))] = units[:, : 2 * _RECENT]
    blocks[_named("price_to", over=_LAST_WEEKS)] = price - prices[:, :_RECENT]
    blocks[_named("deal", "feat", over=_LAST_WEEKS)] = _flat(offers[:, :, :_RECENT])

    highest, lowest = (extreme.accumulate(known, axis=2)[:, :, _ENDS] for extreme in (np.fmax, np.fmin))
    plain = np.where((deals == 0) & (feats == 0), units, np.nan)
    means = _running_mean(np.concatenate([known, offers, plain[:, None]], axis=1))
    by_window = means[:, :, _ENDS]
    for name, values in (("max", highest), ("min", lowest), ("mean", by_window)):
        blocks[_named(f"units_{name}", over=_WINDOWS)] = values[:, 0]
        blocks[_named(f"price_to_{name}", over=_WINDOWS)] = price - values[:, 1]
    blocks[_named("deals", "feats", over=_WINDOWS)] = _flat(by_window[:, 2:4])
    blocks[("units_plain_mean_8",)] = means[:, 4, 7:8]
    on_feat = np.where(feats == 1, units, np.nan)
    blocks[("units_on_feat_max",)] = np.fmax.reduce(on_feat, axis=1)[:, None]
    blocks["weeks_since_deal", "weeks_since_feat"] = _weeks_since(offers)

    at_this_price = units + _ELASTICITY * (prices - price)
    series = [units + _FOUR, units + _EIGHT, units, np.where(deals == 1, units, np.nan), on_feat, plain]
    medians = _medians(np.concatenate([*series, at_this_price + _EIGHT, at_this_price], axis=1).reshape(-1, 8, WEEKS))
    blocks["units_median_4", "units_median_8", "units_median_13", "units_on_deal", "units_on_feat"] = medians[:, :5]
    level = medians[:, 2:3]
    chain_and_store = blocks["chain_units", "store_units"]
    for other in (chain_and_store[:, 1:], chain_and_store[:, :1], _TYPICAL_LOG_UNITS):
        level = np.where(np.isnan(level), other, level)
    levels = medians[:, [6, 5, 7, 1]]
    blocks[LEVELS] = np.where(np.isnan(levels), level, levels)


def _rivals(
    inputs: Floats, logs: Floats, price: Floats, own: npt.NDArray[np.bool_], blocks: dict[tuple[str, ...], Floats]
) -> None:
    """The other ten brands in the same store and week. As differences of logs, these features only rise with the own price."""
    prices = np.where(own, np.nan, logs[:, PLACES["price"]])
    known = ~np.isnan(prices)
    feats = np.where(own, 0.0, inputs[:, PLACES["feat"]])
    mean = np.where(known, prices, 0.0).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
    blocks["price_to_cheapest", "price_to_second"] = price - np.sort(prices, axis=1)[:, :2]
    blocks[("price_to_rivals",)] = price - mean
    blocks[("rival_feats",)] = feats.sum(axis=1, keepdims=True)
    blocks[_named("price_to_brand", over=_RIVALS)] = price - prices
    blocks[_named("moved", over=_RIVALS)] = prices - logs[:, PLACES["usual_price"]]
    blocks[_named("feat_of", over=_RIVALS)] = feats


@functools.cache
def _named(*groups: str, over: range | tuple[int, ...]) -> tuple[str, ...]:
    """Returns names of features: each of `groups` with each number. Cached, because the names take as long as the row."""
    return tuple(f"{group}_{number}" for group in groups for number in over)


def _flat(values: Floats) -> Floats:
    return values.reshape(len(values), -1)


def _running_mean(values: Floats) -> Floats:
    """Returns the means of the first one, two, ... weeks along the last axis, and ignores NaN."""
    known = ~np.isnan(values)
    return np.where(known, values, 0.0).cumsum(axis=2) / known.cumsum(axis=2)


def _medians(values: Floats) -> Floats:
    """Returns medians along the last axis, and ignores NaN. numpy's `nanmedian` would warn about rows without a value."""
    ordered = np.sort(values, axis=2).ravel()  # NaN is sorted last
    count = (~np.isnan(values)).sum(axis=2)
    starts = np.arange(0, ordered.size, WEEKS).reshape(count.shape)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, WEEKS - 1)
    return (ordered[starts + low] + ordered[starts + high]) / 2


def _weeks_since(flags: Floats) -> Floats:
    """Returns the number of weeks since a flag was last set, or NaN if it never was."""
    is_set = flags == 1
    return np.where(is_set.any(axis=2), is_set.argmax(axis=2) + 1.0, np.nan)


LEVELS: tuple[str, ...] = ("level_8", "level_plain", "level_13", "level")
"""Features that are log levels of the series and never NaN. The model predicts deviations from them."""
with np.errstate(all="ignore"):
    FEATURES: tuple[str, ...] = tuple(name for names in _blocks(np.ones((1, len(INPUT_NAMES)))) for name in names)
    """Names of the features, in the order of the matrix's columns."""
SPLIT_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if name not in {"level_8", "level_13"})
"""The features that trees may split on. Levels at the planned price are excluded: they fall when that price rises. If a tree
took a low level for a sign that sales will recover, its predictions would rise with the price."""
DECREASING: frozenset[str] = frozenset(
    name for name in FEATURES if name in {"price", "chain_price"} or name.startswith("price_to_")
)
"""Features that rise with the own price. They may only lower the prediction, because a higher price never sells more."""
