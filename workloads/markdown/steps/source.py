"""Step `source`: the panel and the stores' demographics, as they were published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workloads.training import source

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.context import Context

TABLES = {"yx": "panel", "storedemo": "stores"}
"""Tables of the file -> what they are called here."""


def run(context: Context) -> None:
    """Verifies the source file and puts its tables on the share.

    Raises:
        TrainingError: the file is missing, unreadable, or not the one that was declared.
    """
    source.take(context, tables)


def tables(file: Path) -> dict[str, pd.DataFrame]:
    """The tables of the R file, by the names of TABLES, with plain numpy columns of lower-case names."""
    content = source.r_object(file, "orangeJuice")
    frames = {name: pd.DataFrame(content[table]).reset_index(drop=True) for table, name in TABLES.items()}
    for frame in frames.values():
        frame.columns = frame.columns.str.lower()
    return {
        name: frame.astype({column: "int32" if column in {"store", "brand", "week"} else "float64" for column in frame})
        for name, frame in frames.items()
    }
