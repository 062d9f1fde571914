"""Panels for tests: a small synthetic panel, the published panel, and the step `prepare` in pandas instead of Spark."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from common import paths
from workloads.markdown.features import BRANDS
from workloads.markdown.history import PANEL
from workloads.training_run import Run, RunInputs

PACKAGE = "r-cran-bayesm"
FILE = Path("usr/lib/R/site-library/bayesm/data/orangeJuice.rda")


def run_of(workload, name: str = "r1", *, version: int | None = None, **changes) -> Run:
    """Returns a run of a workload, or a back-test of a version."""
    inputs = RunInputs(data=workload.source.fingerprint, image="i", version=version)
    run = Run(
        id=name,
        workload=workload.name,
        purpose="train" if version is None else "backtest",
        revision="1234567",
        trainer="t@example.com",
        inputs=inputs,
    )
    return run.model_copy(update=changes)


def synthetic(stores: int = 4, weeks: int = 30, seed: int = 0) -> pd.DataFrame:
    """Returns a panel as the step `source` writes it: weekly prices and offers, demand that falls with the price, and gaps."""
    draw = np.random.default_rng(seed)
    prices = 0.04 * np.exp(draw.normal(0, 0.15, (weeks, BRANDS)))
    feats = (draw.random((weeks, BRANDS)) < 0.2) * 1.0
    deals = np.maximum(feats, draw.random((weeks, BRANDS)) < 0.3)
    rows = []
    for store in range(1, stores + 1):
        local = prices * np.exp(draw.normal(0, 0.02, (weeks, BRANDS)))
        for week in range(weeks):
            for brand in range(BRANDS):
                if draw.random() < 0.05:
                    continue
                log = 8 + 0.1 * store - 2.5 * np.log(local[week, brand] / 0.04)
                log += 0.8 * feats[week, brand] + draw.normal(0, 0.3)
                row = {"store": store * 10, "brand": brand + 1, "week": 40 + week, "logmove": log}
                row |= {f"price{number + 1}": local[week, number] for number in range(BRANDS)}
                rows.append(row | {"deal": deals[week, brand], "feat": feats[week, brand], "profit": 25.0 + brand})
    return pd.DataFrame(rows).astype({"store": "int32", "brand": "int32", "week": "int32"})


def published() -> Path:
    """Returns the folder with the published file from Debian's package. The cache keeps it."""
    folder = paths.cache_entry("orange-juice", PACKAGE)
    if not (folder / FILE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            command = ["apt-get", "download", PACKAGE]
            if subprocess.run(command, cwd=scratch, capture_output=True, check=False).returncode:
                subprocess.run(["apt-get", "update"], capture_output=True, check=False)
                subprocess.run(command, cwd=scratch, capture_output=True, check=True)
            (package,) = Path(scratch).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return (folder / FILE).parent


def prepared(panel: pd.DataFrame) -> pd.DataFrame:
    """Returns the same columns as `prepare.prepare`."""
    frame = panel.rename(columns={f"price{number}": f"price_{number}" for number in range(1, BRANDS + 1)})
    own = frame[[f"price_{number}" for number in range(1, BRANDS + 1)]].to_numpy()[np.arange(len(frame)), frame["brand"] - 1]
    frame = frame.assign(own=own, log=np.log(own), units=np.exp(frame["logmove"]), cost=own * (1 - frame["profit"] / 100))
    keys = frame.groupby(["brand", "week"])
    frame = frame.assign(
        chain_price=keys["own"].transform("median"),
        chain_spread=keys["log"].transform("std", ddof=0),
        chain_deal=keys["deal"].transform("mean"),
    )
    frame["near"] = (np.abs(frame["log"] - np.log(frame["chain_price"])) < 0.02) * 1.0
    frame["chain_same"] = frame.groupby(["brand", "week"])["near"].transform("mean")
    sold = np.exp(frame.groupby(["brand", "week"])["logmove"].mean()).rename("chain_units").reset_index()
    sold["week"] += 1
    return frame.merge(sold, on=["brand", "week"], how="left").fillna({"chain_units": 0.0})[list(PANEL)]
