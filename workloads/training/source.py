"""Source data as it was published, under its fingerprint, and as tables that all runs with the same data share."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import rdata

from workloads.context import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workloads.context import Context

Tables = dict[str, pd.DataFrame]
FACTS = "source.json"
"""What a run knows of its source: `fingerprint`, `file`, `origin`, `folder` of the tables, and their `rows`."""


def take(context: Context, tables: Callable[[Path], Tables]) -> None:
    """Verifies the source file and puts its tables on the share as Parquet, once for all runs with the same data.

    Args:
        context: of the run.
        tables: reads the file.

    Raises:
        TrainingError: the file is missing, unreadable, or not the one that was declared.
    """
    source = context.workload.source
    file = context.source / source.file
    found = fingerprint(file, source.origin)
    if found != source.fingerprint:
        msg = (
            f"{file} is not the data that workload {context.workload.name} declares: found {found}, "
            f"declared {source.fingerprint}. Take it from {source.origin}, or declare the new fingerprint in a reviewed change"
        )
        raise TrainingError(msg)
    folder = context.share / "data" / found.removeprefix("sha256:")
    if not folder.is_dir():
        _convert(tables(file), folder)
    rows = {table.stem: len(pd.read_parquet(table)) for table in sorted(folder.glob("*.parquet"))}
    facts = {"fingerprint": found, "file": source.file, "origin": source.origin, "folder": str(folder), "rows": rows}
    (context.folder / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True))


def facts_of(context: Context) -> dict[str, Any]:  # JSON
    """What `take` has written."""
    return json.loads((context.folder / FACTS).read_text())


def table_of(context: Context, name: str) -> Path:
    """The Parquet file of one of the tables."""
    return Path(facts_of(context)["folder"]) / f"{name}.parquet"


def fingerprint(file: Path, origin: str) -> str:
    """`sha256:` and the digest of a file's content.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        with file.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    except OSError as error:
        msg = f"the source data cannot be read: {error}. It comes from: {origin}"
        raise TrainingError(msg) from error


def r_object(file: Path, name: str) -> Any:  # noqa: ANN401 whatever was saved under that name
    """An object of an R data file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about R attributes that tables do not need
        return rdata.read_rda(file)[name]


def _convert(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Writes the tables beside their final place and moves them there: a run that is killed leaves no half of them."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    for name, frame in tables.items():
        frame.to_parquet(partial / f"{name}.parquet", index=False)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another run was first, with the same content
            raise
