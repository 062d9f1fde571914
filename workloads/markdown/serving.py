"""Computes the model's input from a request, and the answer from the model's output. Stored with the model (see features.py).

Each row of a request is about one brand in one store and week. It contains the plan of that week and the past weeks. A chain
knows all these values when it plans. The answer contains for each row

- `units`: ounces that will typically be sold (the model predicts the median, not the mean: half of such weeks sell more);
- `revenue`: dollars, `units` at the planned price.

If any row of the request has `optimise`, the answer also contains for every row

- `best_price`: dollars per ounce. The price with the highest earnings (profit if `cost` is above zero, otherwise revenue) among
  `CANDIDATES` prices between the lowest and the highest of the row's past and planned prices. The chain's price changes by the
  same factor, and offers stay as planned;
- `best_units` and `best_earnings` at that price: ounces, dollars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workloads.markdown.features import BRANDS, INPUT_NAMES, INPUTS, PLACES, WEEKS, features, inputs_of, names_of, own_price

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

CANDIDATES = 16
"""Number of candidate prices for a row with `optimise`."""
HIGHEST_PRICE = 1.0
"""Dollars per ounce. The price of a carton, sent by mistake, is higher than this and is refused."""

REQUEST_COLUMNS: dict[str, type] = {
    **{name: int if name == "brand" else float for name in INPUT_NAMES},
    "cost": float,
    "optimise": bool,
}
"""The columns of a row, in addition to `brand` (1 to 11) and `optimise`:

`price_1..11`         planned prices in the store, 0 for a brand that is not on the shelf
`feat_1..11`, `deal`  whether a brand is advertised, and whether the own brand has an in-store coupon or deal (0 to 1)
`usual_price_1..11`   mean prices of the eight weeks before, 0 if none
`chain_price`         median over the chain's stores of the brand's planned price
`chain_spread`        standard deviation of its logarithm over the stores
`chain_same`          share of stores whose price is within 2 % of the median
`chain_deal`          share of stores with a deal
`chain_units`         geometric mean over the stores of the brand's ounces in the week before, 0 if none
`store_units`         geometric mean of the store's ounces per brand and week, over the eight weeks before
`past_units_1..13`    ounces sold one to thirteen weeks before, 0 if none
`past_price_1..13`, `past_deal_1..13`, `past_feat_1..13`  the same weeks' own price, deal and advertisement
`cost`                what an ounce costs the chain, 0 if not known
"""

REQUEST_EXAMPLE: dict[str, float | int | bool | str] = {
    **dict.fromkeys(INPUT_NAMES, 0.0),
    **dict.fromkeys(names_of("price", BRANDS), 0.04),
    **dict.fromkeys(names_of("usual_price", BRANDS), 0.04),
    **dict.fromkeys(names_of("past_units", WEEKS), 6400.0),
    **dict.fromkeys(names_of("past_price", WEEKS), 0.04),
    "brand": 1,
    "chain_price": 0.04,
    "chain_spread": 0.05,
    "chain_same": 0.5,
    "chain_units": 6400.0,
    "store_units": 6400.0,
    "cost": 0.028,
    "optimise": False,
}

_SHARES = {"deal", "feat", "chain_same", "chain_deal", "past_deal", "past_feat"}
_PRICES = {"price", "usual_price", "chain_price", "past_price"}
_MOST = {"brand": float(BRANDS), **dict.fromkeys(_SHARES, 1.0), **dict.fromkeys(_PRICES, HIGHEST_PRICE)}
_HIGHEST = np.array([_MOST.get(group, 1e9) for group, count in INPUTS for _ in range(count)])
_LOWEST = np.array([1.0 if name == "brand" else 0.0 for name in INPUT_NAMES])
_PRICE = PLACES["price"].start
_PRICE_OF_BRANDS = names_of("price", BRANDS)


def features_of_request(columns: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Returns the model's input: one row per row of the request. If any row has `optimise`, `CANDIDATES` rows per row follow.

    Raises:
        ValueError: a value is out of range.
    """
    inputs = inputs_of(columns)
    cost = np.asarray(columns["cost"], dtype=np.float64)
    _check(inputs, cost)
    if np.any(columns["optimise"]):
        inputs = np.concatenate([inputs, _at(inputs, _candidates(inputs))])
    return features(inputs)


def answer(columns: Mapping[str, Any], prediction: npt.NDArray[np.float32]) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
    """Returns the names of the answer's columns, and one row per row of the request.

    Args:
        columns: the request.
        prediction: the model's output for `features_of_request(columns)`.
    """
    units = np.asarray(prediction, dtype=np.float64).ravel()
    brand = np.asarray(columns["brand"], dtype=np.int64)
    price = np.array([columns[name] for name in _PRICE_OF_BRANDS])[brand - 1, np.arange(len(brand))]
    planned = units[: len(price)]
    rows = [planned, planned * price]
    names = ["units", "revenue"]
    if len(units) > len(price):
        prices = _candidates(inputs_of(columns))
        sold = units[len(price) :].reshape(prices.shape)
        best, earned = best_of(prices, sold, np.asarray(columns["cost"], dtype=np.float64))
        place = np.arange(len(price))
        rows += [prices[place, best], sold[place, best], earned]
        names += ["best_price", "best_units", "best_earnings"]
    return names, np.stack(rows, axis=1)


def best_of(
    prices: npt.NDArray[np.float64], units: npt.NDArray[np.float64], cost: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Returns the index of the price with the highest earnings in each row, and these earnings in dollars.

    Args:
        prices: candidate prices, one row per row of the request.
        units: ounces sold at these prices, of the same shape.
        cost: cost of an ounce for each row. If it is zero, the earnings are the revenue.
    """
    earnings = (prices - cost[:, None]) * units
    best = earnings.argmax(axis=1)
    return best, earnings[np.arange(len(best)), best]


def bounds(inputs: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the lowest and the highest price of each row's past weeks and plan. The best price stays within these bounds."""
    past, price = inputs[:, PLACES["past_price"]], own_price(inputs)
    lowest = np.where(past > 0, past, np.inf).min(axis=1)
    return np.minimum(lowest, price), np.maximum(past.max(axis=1), price)


def _candidates(inputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, high = bounds(inputs)
    grid = np.linspace(low, high, CANDIDATES, axis=1)
    # The planned price is one of the candidates, so that the best price is never worse than the plan.
    price = own_price(inputs)
    place = np.abs(grid - price[:, None]).argmin(axis=1)
    grid[np.arange(len(price)), place] = price
    return grid


def _at(inputs: npt.NDArray[np.float64], prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Repeats each row for each of its candidate prices."""
    repeated = np.repeat(inputs, CANDIDATES, axis=0)
    flat = prices.ravel()
    repeated[:, PLACES["chain_price"].start] *= flat / own_price(repeated)
    repeated[np.arange(len(flat)), _PRICE + repeated[:, 0].astype(np.int64) - 1] = flat
    return repeated


def _check(inputs: npt.NDArray[np.float64], cost: npt.NDArray[np.float64]) -> None:
    wrong = ~((inputs >= _LOWEST) & (inputs <= _HIGHEST))
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        msg = (
            f"{INPUT_NAMES[place]} is not between {_LOWEST[place]:g} and {_HIGHEST[place]:g}: "
            f"{inputs[row, place]:g} in row {row}"
        )
        raise ValueError(msg)
    for name, values, valid in (
        ("the price of the row's own brand", price := own_price(inputs), price > 0),
        ("cost", cost, (cost >= 0) & (cost <= HIGHEST_PRICE)),
    ):
        if not valid.all():
            row = int((~valid).argmax())
            msg = f"{name} is not between 0 and {HIGHEST_PRICE:g} dollars per ounce: {values[row]:g} in row {row}"
            raise ValueError(msg)
