"""Fixtures for all tests of training: a small synthetic panel, its requests, and a model fitted to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # this folder is not a package; `panels` is in it

import panels

from workloads.markdown.model import Demand, Settings
from workloads.markdown.steps.assemble import of_store
from workloads.markdown.steps.train import fit_model


@pytest.fixture(scope="session")
def panel() -> pd.DataFrame:
    return panels.synthetic()


@pytest.fixture(scope="session")
def assembled(panel: pd.DataFrame) -> pd.DataFrame:
    parts = [of_store(part) for _, part in panels.prepared(panel).groupby("store")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def model(assembled: pd.DataFrame) -> Demand:
    return fit_model(assembled[assembled["week"] < 66], Settings(members=4, iterations=30, least_rows_of_leaf=10))
