"""Step `source`: the chain's weekly sales of tuna, as they were published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workloads.training import source
from workloads.tuna.features import BRANDS

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.context import Context


def run(context: Context) -> None:
    """Verifies the source file and puts its table on the share.

    Raises:
        TrainingError: the file is missing, unreadable, or not the one that was declared.
    """
    source.take(context, tables)


def tables(file: Path) -> dict[str, pd.DataFrame]:
    """The table `sales`: a row for each week and brand. Of the file, wholesale prices and customers are left out."""
    wide = pd.DataFrame(source.r_object(file, "tuna")).astype("float64")
    parts = [
        pd.DataFrame(
            {
                "week": wide["WEEK"].astype("int32"),
                "brand": np.int32(brand),
                "units": wide[f"MOVE{brand}"],
                "price": np.exp(wide[f"LPRICE{brand}"]),
                "display": wide[f"NSALE{brand}"],
            }
        )
        for brand in range(1, len(BRANDS) + 1)
    ]
    return {"sales": pd.concat(parts, ignore_index=True)}
