"""The workload `tuna`: no leakage, the same features in training and serving, both flavours, and a gate that can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import pandas as pd
import panels
import pytest

from common import paths
from workloads.context import Context
from workloads.training import reports
from workloads.training.onnx import disagreement
from workloads.tuna import weeks
from workloads.tuna.features import BRANDS, FEATURES, ROW_FEATURES, features, level, numbered, row_features
from workloads.tuna.onnx_model import AGREEMENT, to_onnx
from workloads.tuna.serving import REQUEST_COLUMNS, REQUEST_EXAMPLE, answer, features_of_request
from workloads.tuna.steps import backtest, history, source, train
from workloads.tuna.steps.history import requests_of
from workloads.tuna.steps.register import CODE, HELD_OUT_AHEAD, HELD_OUT_WEEK
from workloads.tuna.workload import TUNA

if TYPE_CHECKING:
    from pathlib import Path

    from sklearn.linear_model import Ridge


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    """The published sales, which are small enough for tests."""
    return source.tables(panels.published() / TUNA.source.file)["sales"]


@pytest.fixture(scope="module")
def requests(sales: pd.DataFrame) -> pd.DataFrame:
    return requests_of(sales)


@pytest.fixture(scope="module")
def model(requests: pd.DataFrame) -> Ridge:
    return train.fit_model(requests[requests["week"].between(weeks.FIRST, weeks.LAST)])


@pytest.fixture
def context(tmp_path: Path) -> Context:
    folders = {"source": panels.published(), "share": tmp_path, "folder": tmp_path / "runs" / "1"}
    folders["folder"].mkdir(parents=True)
    return Context(workload=TUNA, run=panels.run_of(TUNA), emit=lambda _event, **_fields: None, **folders)


def columns(**changes: float) -> dict[str, np.ndarray]:
    """Returns the changed request example as the service reads it."""
    return {name: np.array([value]) for name, value in (REQUEST_EXAMPLE | changes).items()}


def test_the_published_sales_have_the_declared_shape(sales: pd.DataFrame):
    assert (len(sales), sales["week"].nunique(), set(sales["brand"])) == (2366, 338, set(range(1, 8)))
    assert sales.notna().all(axis=None)
    assert (sales["units"] > 0).all()


@pytest.mark.parametrize("week", [200, 312, 380])
def test_sales_after_the_order_do_not_leak_into_the_request(sales: pd.DataFrame, week: int):
    for ahead in weeks.AHEAD:
        changed = sales.copy()
        later = changed["week"] > week - ahead
        draw = np.random.default_rng(week)
        changed.loc[later, "units"] = draw.uniform(1, 1e5, later.sum())
        plan = later & (changed["week"] != week)
        changed.loc[plan, "price"] = draw.uniform(0.1, 9, plan.sum())
        changed.loc[plan, "display"] = draw.uniform(0, 1, plan.sum())
        before, now = (
            found[(found["week"] == week) & (found["ahead"] == ahead)][list(REQUEST_COLUMNS)]
            for found in (requests_of(sales), requests_of(changed))
        )
        pd.testing.assert_frame_equal(before, now)
        assert len(before) == len(BRANDS)


def test_a_request_contains_the_sales_of_the_weeks_before(sales: pd.DataFrame, requests: pd.DataFrame):
    by_week = sales[sales["brand"] == 4].set_index("week")
    found = requests[requests["brand"] == 4].set_index(["week", "ahead"])
    assert found.loc[(300, 2), "past_units_1"] == by_week.loc[298, "units"]
    assert found.loc[(300, 2), "past_price_13"] == by_week.loc[286, "price"]
    assert found.loc[(300, 2), "usual_price_4"] == by_week.loc[286:298, "price"].max()
    assert found.loc[(300, 2), "display_4"] == by_week.loc[300, "display"], "the plan is that of the week to forecast"
    assert found.loc[(388, 4), "past_units_1"] == 0, "the file does not contain week 384"
    assert (372, 1) not in found.index, "no week of the quarter before is known, so there is no request"


def test_a_request_sent_as_json_has_the_features_of_training(requests: pd.DataFrame):
    row = requests.iloc[[5000]]
    sent = json.loads(json.dumps({name: row[name].tolist() for name in REQUEST_COLUMNS}))
    read = {name: np.array(values) for name, values in sent.items()}
    np.testing.assert_array_equal(features_of_request(read), features_of_request(row))


def test_features_of_a_row_do_not_depend_on_the_rows_beside_it(requests: pd.DataFrame):
    rows = requests.iloc[::300]
    alone = np.concatenate([features(rows.iloc[[place]]) for place in range(len(rows))])
    np.testing.assert_array_equal(features(rows), alone)


def test_features_of_one_row_equal_figures_computed_by_hand():
    past = {f"past_units_{week}": 100.0 for week in range(1, 14)}
    past |= {"past_units_1": 0.0, "past_units_2": 800.0, "past_price_2": 0.5, "past_display_2": 1.0, "past_units_3": 400.0}
    row = columns(**past, brand=2, price_2=0.45, display_2=0.5, price_3=0.81, display_3=0.25, display_4=0.25)
    found = dict(zip(ROW_FEATURES, row_features(row)[0], strict=True))
    assert level(row)[0] == pytest.approx(np.log(100)), "the offer two weeks ago does not count as a usual week"
    assert found["cut"] == pytest.approx(np.log(0.5)), "the price is 0.45, the usual price 0.9"
    assert found["cut_on_display"] == pytest.approx(np.log(0.5) / 2)
    assert found["rival_cut"] == pytest.approx(np.log(0.8 / 0.9)), "the largest cut of the other brands"
    assert found["rival_display"] == 0.5
    assert found["last"] == pytest.approx(np.log(8)), "the last known week"
    assert found["median_4"] == pytest.approx(np.log(4)), "the median of 800, 400 and 100"
    assert found["cut_to_last"] == pytest.approx(np.log(0.9))
    assert found["display_before"] == 1


def test_each_brand_has_its_own_columns():
    row = features(columns(brand=3)).reshape(len(BRANDS), len(ROW_FEATURES))
    assert row[2, ROW_FEATURES.index("brand")] == 1
    assert not row[[0, 1, 3, 4, 5, 6]].any()
    assert len(FEATURES) == row.size


def test_a_brand_that_is_always_on_offer_has_the_level_of_all_its_weeks():
    row = columns(**dict.fromkeys(numbered("past_price", 13), 0.5))
    assert level(row)[0] == pytest.approx(np.log(9000))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"brand": 8}, "brand is not between 1 and 7: 8 in row 0"),
        ({"price_1": 0.0}, "the price of the row's own brand is not above 0"),
        ({"usual_price_1": 0.0}, "the usual_price of the row's own brand"),
        ({"price_3": 48.0}, "price_3 is not between 0 and 10: 48"),
        ({"display_2": 75.0}, "display_2 is not between 0 and 1"),
        ({"past_units_4": -1.0}, "past_units_4"),
        ({"past_price_4": float("nan")}, "past_price_4"),
        (dict.fromkeys(numbered("past_units", 13), 0.0), "no week with sales"),
    ],
)
def test_an_invalid_request_is_refused_with_the_reason(change: dict[str, float], words: str):
    with pytest.raises(ValueError, match=words):
        features_of_request(columns(**change))


def test_an_answer_is_the_level_times_the_predicted_uplift():
    row = columns()
    names, rows = answer(row, np.array([[np.log(3)]], dtype=np.float32))
    assert list(names) == ["units", "usual_units"]
    assert rows[0] == pytest.approx([27_000, 9000])


def test_the_onnx_model_agrees_with_the_native_one(model: Ridge, requests: pd.DataFrame):
    graph = to_onnx(model)
    assert disagreement(model, graph, features_of_request(requests)) < AGREEMENT
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [port.type for port in session.get_inputs()] == ["tensor(float)"]
    for rows in (1, 7):
        x = features_of_request(requests.iloc[:rows])
        assert session.run(None, {session.get_inputs()[0].name: x})[0].shape == (rows, 1)


def test_a_lower_price_or_a_display_sells_more(model: Ridge):
    by_price = [train.forecast(model, pd.DataFrame([REQUEST_EXAMPLE | {"price_1": price}]))[0] for price in (0.5, 0.7, 0.9)]
    assert by_price == sorted(by_price, reverse=True)
    displayed = train.forecast(model, pd.DataFrame([REQUEST_EXAMPLE | {"display_1": 1.0}]))[0]
    assert displayed > train.forecast(model, pd.DataFrame([REQUEST_EXAMPLE]))[0]


def test_the_baselines_equal_figures_computed_by_hand():
    row = pd.DataFrame([REQUEST_EXAMPLE | {"past_units_1": 0.0, "past_units_2": 50.0}])
    assert backtest.last_week(row).tolist() == [50.0], "unknown weeks are skipped"
    assert backtest.median13(row).tolist() == [9000.0]


def test_the_model_passes_its_gate_and_both_baselines_fail(context: Context):
    for step in (source, history, train, backtest):
        step.run(context)
    found = reports.read(context)
    assert [finding for finding in TUNA.gate.check(found.metrics) if not finding.passed] == []
    assert (len(found.periods), found.periods[0], found.data_until) == (52, "296", "week 398")
    assert set(found.slices["ahead"]) == {"1 week", "2 weeks", "3 weeks", "4 weeks"}
    assert set(found.slices["brand"]) == set(BRANDS)
    assert set(found.drift) == set(ROW_FEATURES) - {"brand"}
    forecasts = pd.read_parquet(context.folder / reports.FORECASTS)
    about = reports.BacktestDescription(
        workload="tuna", data=found.data, data_until="", data_day=None, learned_until="", method="", unit=""
    )
    for name in backtest.BASELINES:
        as_model = forecasts.assign(forecast=forecasts[name])
        naive = reports.report(about, as_model, sliced_by=backtest.SLICED_BY, baselines=list(backtest.BASELINES), drift={})
        failed = [finding.rule for finding in TUNA.gate.check(naive.metrics) if not finding.passed]
        assert len(failed) >= 3, f"the gate must refuse the baseline {name} on several rules: {failed}"


def test_the_training_weeks_end_before_the_hold_out_set():
    assert weeks.FIRST < weeks.VALIDATION < weeks.LAST < min(weeks.BACKTEST)


def test_a_complete_run_registers_a_model_that_answers_as_in_the_back_test(tmp_path: Path):
    store = tmp_path / "mlruns"
    variables = {
        "MODELSTACK_SOURCE": str(panels.published()),
        "MODELSTACK_DATA": str(tmp_path),
        "MODELSTACK_CODE_REVISION": "1234567",
        "MLFLOW_TRACKING_URI": store.as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "PYTHONPATH": str(paths.CHECKOUT),
    }
    command = [sys.executable, "-m", "workloads.run", "tuna"]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "would refuse this version" not in done.stdout
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    (registered,) = [event for event in events if event["event"] == "registered"]
    assert (registered["model"], registered["version"]) == ("tuna", 1)

    (run,) = store.glob(f"*/{registered['run']}")
    tags = {file.name: file.read_text() for file in (run / "tags").iterdir()}
    assert (tags["modelstack.data"], tags["modelstack.revision"]) == (TUNA.source.fingerprint, "1234567")
    artifacts = run / "artifacts"
    logged = {str(file.relative_to(artifacts)) for file in artifacts.rglob("*") if file.is_file()}
    pictures = {f"plots/{name}.png" for name in ("calibration", "error_by_ahead", "error_by_brand", "error_by_plan")}
    assert pictures | {"held_out.json", "backtest/report.json", "backtest/gate.json", "data/source.json"} <= logged

    (graph,) = store.glob("*/models/*/artifacts/model.onnx")
    code = sorted(str(file.relative_to(graph.parent / "code")) for file in (graph.parent / "code").rglob("*.py"))
    expected = {f"workloads/tuna/{name}" for name in ("__init__.py", *CODE.served)}
    assert set(code) == expected | {"workloads/__init__.py"}, "the model must be stored with exactly the code that serves it"
    held = json.loads((artifacts / "held_out.json").read_text())
    names, rows = held["request"]["data"]["names"], held["request"]["data"]["ndarray"]
    read = {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    _, answered = answer(read, session.run(None, {"features": features_of_request(read)})[0])
    forecasts = pd.read_parquet(artifacts / "backtest" / "forecasts.parquet")
    rows_of_request = forecasts[(forecasts["week"] == HELD_OUT_WEEK) & (forecasts["ahead"] == f"{HELD_OUT_AHEAD} weeks")]
    np.testing.assert_allclose(answered[:, 0], rows_of_request["forecast"], rtol=1e-6)
    assert held["actual"] == rows_of_request["units"].tolist()
