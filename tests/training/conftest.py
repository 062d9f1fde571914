"""A small made-up panel, its requests and a model fitted to it, for all tests of training."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package; `panels` lies beside them

import panels

from workloads.markdown.model import Demand, Settings
from workloads.markdown.steps.assemble import of_store
from workloads.markdown.steps.train import fitted


@pytest.fixture(scope="session")
def panel() -> pd.DataFrame:
    return panels.made_up()


@pytest.fixture(scope="session")
def assembled(panel: pd.DataFrame) -> pd.DataFrame:
    parts = [of_store(part) for _, part in panels.prepared(panel).groupby("store")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def model(assembled: pd.DataFrame) -> Demand:
    return fitted(assembled[assembled["week"] < 66], Settings(members=4, iterations=30, least_rows_of_leaf=10))
