"""The model in both flavours, and the price it recommends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import pytest

from workloads.markdown.features import inputs_of, own_price
from workloads.markdown.history import matrix_of
from workloads.markdown.onnx_model import AGREEMENT, to_onnx
from workloads.markdown.serving import (
    CANDIDATES,
    REQUEST_COLUMNS,
    REQUEST_EXAMPLE,
    _at,
    _candidates,
    answer,
    best_of,
    features_of_request,
)
from workloads.markdown.steps.optimise import best_prices
from workloads.training.onnx import disagreement

if TYPE_CHECKING:
    import pandas as pd

    from workloads.markdown.model import Demand


def test_the_onnx_model_agrees_with_the_native_one(model: Demand, assembled: pd.DataFrame):
    found = disagreement(model, to_onnx(model), matrix_of(assembled))
    assert found < AGREEMENT, "both flavours of a version must be the same model, up to float32"


def test_the_onnx_model_takes_one_float_matrix_and_any_number_of_rows(model: Demand, assembled: pd.DataFrame):
    session = ort.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    assert [port.type for port in session.get_inputs()] == ["tensor(float)"]
    for rows in (1, 7):
        assert session.run(None, {session.get_inputs()[0].name: matrix_of(assembled.iloc[:rows])})[0].shape == (rows, 1)


def test_a_higher_price_never_sells_more(model: Demand, assembled: pd.DataFrame):
    inputs = inputs_of(assembled.iloc[::40])
    prices = np.sort(_candidates(inputs), axis=1)
    columns = dict(zip(REQUEST_COLUMNS, _at(inputs, prices).T, strict=False))
    request = columns | {"cost": np.zeros(prices.size), "optimise": np.zeros(prices.size, dtype=bool)}
    units = model.predict(features_of_request(request)).reshape(prices.shape)
    assert (np.diff(units, axis=1) <= units[:, 1:] * 1e-5).all(), (
        "otherwise the optimisation would recommend a higher price that sells more"
    )
    assert (units[:, -1] < units[:, 0]).any(), "the price must have an effect"


def test_the_best_price_is_within_history_and_no_candidate_earns_more(model: Demand, assembled: pd.DataFrame):
    requests = assembled[assembled["week"] == 68]
    best = best_prices(requests, model)
    assert (best["best_price"] >= best["lowest_price"] - 1e-12).all()
    assert (best["best_price"] <= best["highest_price"] + 1e-12).all()
    assert (best["best_earnings"] >= best["planned_earnings"] - 1e-3).all(), "the planned price is a candidate"
    past = requests[[f"past_price_{week}" for week in range(1, 14)]].to_numpy()
    np.testing.assert_allclose(best["highest_price"], np.maximum(past.max(axis=1), own_price(inputs_of(requests))))
    for price in np.linspace(0, 1, 5):
        tried = best["lowest_price"] + price * (best["highest_price"] - best["lowest_price"])
        grid = _candidates(inputs_of(requests))
        nearest = np.abs(grid - tried.to_numpy()[:, None]).argmin(axis=1)
        at = requests.assign(optimise=True)
        units = model.predict(features_of_request(at))[len(at) :].reshape(-1, CANDIDATES)
        rows = np.arange(len(at))
        earned = (grid[rows, nearest] - at["cost"].to_numpy()) * units[rows, nearest]
        assert (earned <= best["best_earnings"] * (1 + 1e-5) + 1e-6).all()


def test_the_best_of_a_grid_equals_figures_computed_by_hand():
    prices = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    units = np.array([[10.0, 6.0, 3.0], [10.0, 6.0, 3.0]])
    best, earned = best_of(prices, units, np.array([0.0, 1.5]))
    assert best.tolist() == [1, 2], "revenue 10, 12, 9; profit -5, 3, 4.5"
    assert earned.tolist() == [12.0, 4.5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"brand": 12}, "brand is not between 1 and 11"),
        ({"price_1": 0.0}, "price of the row's own brand"),
        ({"price_3": 2.49}, "price_3 is not between 0 and 1"),
        ({"past_units_4": -1.0}, "past_units_4"),
        ({"deal": 2.0}, "deal is not between 0 and 1"),
        ({"cost": -0.1}, "cost is not between"),
        ({"store_units": float("nan")}, "store_units"),
    ],
)
def test_an_invalid_request_is_refused_with_the_reason(change: dict[str, float], words: str):
    with pytest.raises(ValueError, match=words):
        features_of_request({name: np.array([value]) for name, value in (REQUEST_EXAMPLE | change).items()})


def test_an_answer_has_one_row_per_row_of_the_request(model: Demand):
    for optimise, width in ((False, 2), (True, 5)):
        columns = {name: np.array([value, value]) for name, value in (REQUEST_EXAMPLE | {"optimise": optimise}).items()}
        names, rows = answer(columns, model.predict(features_of_request(columns)).astype(np.float32))
        assert rows.shape == (2, width)
        assert list(names)[:2] == ["units", "revenue"]
        assert rows[0].tolist() == pytest.approx(rows[1].tolist())
        assert rows[0, 1] == pytest.approx(rows[0, 0] * 0.04), "revenue is units at the planned price"
