"""Step `features`: for every brand, week and lead time, the request that a caller would have sent when placing the order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.training.source import table_path
from workloads.tuna.features import BRANDS, WEEKS
from workloads.tuna.weeks import AHEAD

if TYPE_CHECKING:
    import numpy.typing as npt

    from workloads.context import Context

    Floats = npt.NDArray[np.float64]

REQUESTS = "requests.parquet"


def run(context: Context) -> None:
    """Writes the requests."""
    requests_of(pd.read_parquet(table_path(context, "sales"))).to_parquet(context.output(REQUESTS), index=False)


def requests_of(sales: pd.DataFrame) -> pd.DataFrame:
    """Builds the requests.

    Args:
        sales: columns `week`, `brand`, `units`, `price`, `display`.

    Returns:
        Columns `week`, `brand`, `ahead`, `units` (units sold, the target), and the columns of the request. Weeks without any
        known past are omitted. Columns about sales or past prices are at least `ahead` weeks old, so that there is no leakage.
    """
    grids = {name: _grid(sales, name) for name in ("units", "price", "display")}
    weeks = np.sort(sales["week"].unique())
    return pd.concat([_ahead(grids, weeks, ahead) for ahead in AHEAD], ignore_index=True)


def _grid(sales: pd.DataFrame, name: str) -> Floats:
    """Returns one row per week from 0 to the last, and one column per brand. NaN marks unknown values, as in week 0."""
    wide = sales.pivot_table(index="week", columns="brand", values=name)
    return wide.reindex(index=range(sales["week"].max() + 1), columns=range(1, len(BRANDS) + 1)).to_numpy(np.float64)


def _ahead(grids: dict[str, Floats], weeks: npt.NDArray[np.int32], ahead: int) -> pd.DataFrame:
    """Returns the requests for these weeks with a past that ends `ahead` weeks before."""
    before = np.maximum(weeks[:, None] - ahead - np.arange(WEEKS), 0)
    known = ~np.isnan(grids["units"][before]).all(axis=(1, 2))
    weeks, before = weeks[known], before[known]
    brands = len(BRANDS)
    columns: dict[str, npt.NDArray[np.generic]] = {
        "week": np.repeat(weeks, brands),
        "brand": np.tile(np.arange(1, brands + 1), len(weeks)),
        "ahead": np.full(len(weeks) * brands, ahead),
        "units": grids["units"][weeks].ravel(),
    }
    plan = {"price": grids["price"][weeks], "display": grids["display"][weeks]}
    plan["usual_price"] = np.fmax.reduce(grids["price"][before], axis=1)
    for name, values in plan.items():
        for brand in range(brands):
            columns[f"{name}_{brand + 1}"] = np.repeat(np.nan_to_num(values[:, brand]), brands)
    for name, grid in grids.items():
        past = np.nan_to_num(grid[before])
        for back in range(WEEKS):
            columns[f"past_{name}_{back + 1}"] = past[:, back].ravel()
    return pd.DataFrame(columns)
