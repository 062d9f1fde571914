"""The code of every workload that is stored with its model, tested with the packages of the serving image."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from workloads.serving.request import Reader

FOLDERS = sorted(file.parent.name for file in Path(__file__).resolve().parents[2].glob("workloads/*/serving.py"))


@pytest.fixture(params=FOLDERS)
def code(request):
    return importlib.import_module(f"workloads.{request.param}.serving")


@pytest.mark.parametrize("rows", [1, 3])
def test_the_code_accepts_its_own_example_and_answers_one_row_per_row(code, rows):
    reader = Reader(code.REQUEST_COLUMNS, code.REQUEST_EXAMPLE)
    columns = {name: np.repeat(value, rows) for name, value in reader.example_columns.items()}
    features = code.features_of_request(columns)
    assert (features.dtype, len(features)) == (np.float32, rows)
    names, answered = code.answer(columns, np.ones((rows, 1), dtype=np.float32))
    assert answered.shape == (rows, len(names))
    assert np.isfinite(answered).all()


def test_there_is_code_to_test():
    assert FOLDERS, "without any code, the tests above would test nothing"
