"""Step `source`: the panel as it was published, under its fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from typing import TYPE_CHECKING

import pandas as pd
import rdata

from workloads.run import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.run import Context

TABLES = {"yx": "panel", "storedemo": "stores"}
"""Tables of the file -> what they are called here."""
FACTS = "source.json"


def run(context: Context) -> None:
    """Verifies the source file and puts its tables on the share as Parquet, once for all runs with the same data.

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
        _convert(file, folder)
    rows = {name: len(pd.read_parquet(folder / f"{name}.parquet")) for name in TABLES.values()}
    facts = {"fingerprint": found, "file": source.file, "origin": source.origin, "folder": str(folder), "rows": rows}
    (context.folder / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True))


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


def tables(file: Path) -> dict[str, pd.DataFrame]:
    """The tables of the R file, by the names of TABLES, with plain numpy columns of lower-case names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about R attributes that tables do not need
        content = rdata.read_rda(file)["orangeJuice"]
    frames = {name: pd.DataFrame(content[table]).reset_index(drop=True) for table, name in TABLES.items()}
    for frame in frames.values():
        frame.columns = frame.columns.str.lower()
    return {
        name: frame.astype({column: "int32" if column in {"store", "brand", "week"} else "float64" for column in frame})
        for name, frame in frames.items()
    }


def _convert(file: Path, folder: Path) -> None:
    """Writes the tables beside their final place and moves them there: a run that is killed leaves no half of them."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    for name, frame in tables(file).items():
        frame.to_parquet(partial / f"{name}.parquet", index=False)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another run was first, with the same content
            raise
