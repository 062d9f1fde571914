"""Source data: the published file, verified by its fingerprint, and its tables, which all runs with the same data share."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
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
"""A run's facts about its source data: `fingerprint`, `file`, `origin`, `folder` of the tables, `rows` per table."""


def ingest(context: Context, tables: Callable[[Path], Tables]) -> None:
    """Verifies the source file. Writes its tables to the data share as Parquet, once for all runs with the same data.

    Args:
        context: the context of the run.
        tables: reads the tables from the file.

    Raises:
        TrainingError: the file is missing or unreadable, or its fingerprint differs from the declared one.
    """
    source = context.workload.source
    file = context.source / source.file
    found = fingerprint(file, source.origin)
    if found != source.fingerprint:
        msg = (
            f"{file} is not the data that workload {context.workload.name} declares: found {found}, "
            f"declared {source.fingerprint}. "
            f"Use the file from {source.origin}, or declare the new fingerprint in a reviewed change"
        )
        raise TrainingError(msg)
    folder = context.share / "data" / found.removeprefix("sha256:")
    if not folder.is_dir():
        _convert(tables(file), folder)
    rows = {table.stem: len(pd.read_parquet(table)) for table in sorted(folder.glob("*.parquet"))}
    facts = {"fingerprint": found, "file": source.file, "origin": source.origin, "folder": str(folder), "rows": rows}
    context.output(FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True))


def source_facts(context: Context) -> dict[str, Any]:  # JSON
    """Reads the facts that `ingest` has written."""
    return json.loads(context.input(FACTS).read_text())


def table_path(context: Context, name: str) -> Path:
    """Returns the Parquet file of a table."""
    return Path(source_facts(context)["folder"]) / f"{name}.parquet"


def fingerprint(file: Path, origin: str) -> str:
    """Returns `sha256:` and the digest of a file's content.

    Raises:
        TrainingError: the file cannot be read.
    """
    try:
        with file.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    except OSError as error:
        msg = f"the source data cannot be read: {error}. It comes from: {origin}"
        raise TrainingError(msg) from error


def r_object(file: Path, name: str) -> Any:  # noqa: ANN401 an R file can contain objects of any type
    """Reads the object called `name` from an R data file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warnings are about R attributes that tables do not need
        return rdata.read_rda(file)[name]


def _convert(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Writes the tables to a temporary folder and renames it, so that a killed run leaves no incomplete tables."""
    # Not the number of the process: it is 1 in every container.
    partial = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}.partial")
    partial.mkdir(parents=True)
    for name, frame in tables.items():
        frame.to_parquet(partial / f"{name}.parquet", index=False)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial)  # another run has written the same content first
