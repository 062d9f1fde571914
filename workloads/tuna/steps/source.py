"""Step `source`: the published weekly sales of tuna of the chain."""

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
    """Verifies the source file and writes its table to the data share.

    Raises:
        TrainingError: the file is missing or unreadable, or its fingerprint differs from the declared one.
    """
    source.ingest(context, tables)


def tables(file: Path) -> dict[str, pd.DataFrame]:
    """Returns the table `sales` with one row per week and brand. Wholesale prices and customers in the file are not used."""
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
