"""Computes the model's input from a request, and the answer from the model's output. Stored with the model (see features.py).

The answer contains for each row of the request

- `units`: cans that the chain will typically sell (the model predicts the median, not the mean: half of such weeks sell more);
- `usual_units`: cans in a week at the usual price. The difference to `units` is the expected effect of the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workloads.tuna.features import BRANDS, WEEKS, features, level, numbered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

_GROUPS = {
    "price": len(BRANDS),
    "display": len(BRANDS),
    "usual_price": len(BRANDS),
    "past_units": WEEKS,
    "past_price": WEEKS,
    "past_display": WEEKS,
}
REQUEST_COLUMNS: dict[str, type] = {
    "brand": int,
    **{name: float for group, count in _GROUPS.items() for name in numbered(group, count)},
}
"""The columns of a row:

`brand`               1 to 7, as in `features.BRANDS`
`price_1..7`          planned prices of all brands in the week to forecast, 0 for a brand that is not sold
`display_1..7`        share of the chain that will display them, 0 to 1
`usual_price_1..7`    highest prices in the known weeks of the quarter, 0 if none
`past_units_1..13`    cans sold in the last known week and the twelve before it, 0 for a week that is not known
`past_price_1..13`, `past_display_1..13`  the own brand's price and display in the same weeks
"""

REQUEST_EXAMPLE: dict[str, float | int | bool | str] = {
    "brand": 1,
    **dict.fromkeys(numbered("price", len(BRANDS)), 0.8),
    **dict.fromkeys(numbered("display", len(BRANDS)), 0.0),
    **dict.fromkeys(numbered("usual_price", len(BRANDS)), 0.9),
    **dict.fromkeys(numbered("past_units", WEEKS), 9000.0),
    **dict.fromkeys(numbered("past_price", WEEKS), 0.9),
    **dict.fromkeys(numbered("past_display", WEEKS), 0.0),
}

_DOLLARS = 10.0
"""Highest price of a can. The price of a case, sent by mistake, is higher than this and is refused."""
_MOST = {"display": 1.0, "past_display": 1.0, "past_units": 1e9}


def features_of_request(columns: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Returns the model's input: one row per row of the request.

    Raises:
        ValueError: a value is out of range, or no past week has sales.
    """
    _check(columns)
    return features(columns)


def answer(columns: Mapping[str, Any], prediction: npt.NDArray[np.float32]) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
    """Returns the names of the answer's columns, and one row per row of the request.

    Args:
        columns: the request.
        prediction: the model's output for `features_of_request(columns)`: the log of units minus the level.
    """
    usual = level(columns)
    units = usual + np.asarray(prediction, dtype=np.float64).ravel()
    return ["units", "usual_units"], np.exp(np.stack([units, usual], axis=1))


def _check(columns: Mapping[str, Any]) -> None:
    _within(columns, "brand", 1, len(BRANDS))
    for group, count in _GROUPS.items():
        for name in numbered(group, count):
            _within(columns, name, 0.0, _MOST.get(group, _DOLLARS))
    brand = np.asarray(columns["brand"], dtype=np.int64)
    for group in ("price", "usual_price"):
        values = np.array([columns[name] for name in numbered(group, len(BRANDS))], dtype=np.float64)
        _refuse(values[brand - 1, np.arange(len(brand))] <= 0, f"the {group} of the row's own brand is not above 0")
    units = np.array([columns[name] for name in numbered("past_units", WEEKS)], dtype=np.float64)
    _refuse(~(units > 0).any(axis=0), "past_units has no week with sales, so there is nothing to forecast from")


def _within(columns: Mapping[str, Any], name: str, lowest: float, highest: float) -> None:
    values = np.asarray(columns[name], dtype=np.float64)
    wrong = ~((values >= lowest) & (values <= highest))
    if wrong.any():
        _refuse(wrong, f"{name} is not between {lowest:g} and {highest:g}: {values[wrong.argmax()]:g}")


def _refuse(wrong: npt.NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        msg = f"{what} in row {int(wrong.argmax())}"
        raise ValueError(msg)
