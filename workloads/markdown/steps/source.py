"""Step `source`: the published panel and demographics of the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workloads.training import source

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.context import Context

TABLES = {"yx": "panel", "storedemo": "stores"}
"""Names of the file's tables -> their names here."""


def run(context: Context) -> None:
    """Verifies the source file and writes its tables to the data share.

    Raises:
        TrainingError: the file is missing or unreadable, or its fingerprint differs from the declared one.
    """
    source.ingest(context, tables)


def tables(file: Path) -> dict[str, pd.DataFrame]:
    """Reads the tables of the R file, under the names of TABLES. Columns are plain numpy columns with lower-case names."""
    content = source.r_object(file, "orangeJuice")
    frames = {name: pd.DataFrame(content[table]).reset_index(drop=True) for table, name in TABLES.items()}
    for frame in frames.values():
        frame.columns = frame.columns.str.lower()
    return {
        name: frame.astype({column: "int32" if column in {"store", "brand", "week"} else "float64" for column in frame})
        for name, frame in frames.items()
    }
