"""Metrics, baselines and the report, compared with figures computed by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import panels
import pytest

from workloads.context import Context
from workloads.evidence import Bin, Quantiles, Report, canonical, digest, parse
from workloads.markdown import response, weeks
from workloads.markdown.features import FEATURES
from workloads.markdown.metrics import last_week, mean8
from workloads.markdown.onnx_model import to_onnx
from workloads.markdown.serving import REQUEST_EXAMPLE
from workloads.markdown.steps import backtest
from workloads.markdown.steps.assemble import ASSEMBLED
from workloads.markdown.steps.backtest import report
from workloads.markdown.workload import MARKDOWN
from workloads.training import diagnostics
from workloads.training.metrics import bias, wape
from workloads.training.onnx import GRAPH
from workloads.training.reports import REPORT
from workloads.training.source import FACTS

DATA = f"sha256:{'0' * 64}"


def history(*units: float) -> pd.DataFrame:
    """Returns a request with these units in its past weeks, the latest week first."""
    past = {f"past_units_{week}": [0.0] for week in range(1, 14)}
    return pd.DataFrame(past | {f"past_units_{week + 1}": [value] for week, value in enumerate(units)} | {"store_units": [7.0]})


def test_wape_and_bias_equal_figures_computed_by_hand():
    actual, forecast = np.array([10.0, 30.0, 60.0]), np.array([20.0, 30.0, 40.0])
    assert wape(actual, forecast) == pytest.approx(0.3), "(10 + 0 + 20) / 100"
    assert bias(actual, forecast) == pytest.approx(-0.1), "90 / 100 - 1"


def test_the_last_week_is_the_last_one_with_sales():
    assert last_week(history(5.0, 9.0)).tolist() == [5.0]
    assert last_week(history(0.0, 0.0, 9.0, 4.0)).tolist() == [9.0], "weeks without sales are skipped"
    assert last_week(history()).tolist() == [7.0], "a series without history gets the mean of its store's brands"


def test_the_mean_of_eight_weeks_is_geometric_and_skips_weeks_without_sales():
    assert mean8(history(1.0, 100.0)) == pytest.approx(10.0)
    assert mean8(history(0.0, *[4.0] * 8, 1e9)) == pytest.approx(4.0), "the ninth week with sales is not used"
    assert mean8(history()).tolist() == [7.0]


def forecasts() -> pd.DataFrame:
    keys = {"store": [2, 2, 5], "brand": [1, 2, 1], "week": [149, 149, 150]}
    return pd.DataFrame(
        keys | {"units": [10.0, 30.0, 60.0], "forecast": [20.0, 30.0, 40.0], "last_week": [0.0] * 3, "mean8": [10.0] * 3}
    )


def evidence(data: str = DATA) -> Report:
    return report(forecasts(), data=data, data_until=150, data_day=MARKDOWN.source.until, response=None, drift={})


def test_a_report_contains_the_metrics_that_the_gate_checks():
    found = evidence()
    assert found.metrics == {
        "wape": 0.3,
        "bias": -0.1,
        "wape_last_week": 1.0,
        "wape_mean8": 0.7,
        "weeks": 2.0,
        "wape_worst_brand": 0.428571,
        "wape_worst_store": 0.333333,
    }
    assert all(finding.value is not None for finding in MARKDOWN.gate.check(found.metrics))
    assert (found.periods, found.rows, found.learned_until, found.data_until) == (("149", "150"), 3, "week 148", "week 150")


def test_metrics_of_slices_equal_figures_computed_by_hand():
    slices = evidence().slices
    assert slices["brand"]["1"] == {
        "wape": 0.428571,  # (10 + 20) / (10 + 60)
        "bias": -0.142857,  # (20 + 40) / 70 - 1
        "wape_last_week": 1.0,
        "wape_mean8": 0.714286,  # (0 + 50) / 70
        "rows": 2.0,
    }
    assert slices["store"]["2"]["wape"] == 0.25, "(10 + 0) / 40"
    assert slices["store"]["5"] == {"wape": 0.333333, "bias": -0.333333, "wape_last_week": 1, "wape_mean8": 0.833333, "rows": 1}
    assert (slices["week"]["149"]["wape"], slices["week"]["149"]["wape_mean8"]) == (0.25, 0.5), "baselines have errors per week"


def test_a_report_round_trips_and_its_digest_identifies_it():
    content = canonical(evidence())
    assert parse(content) == evidence()
    assert digest(content) == digest(canonical(evidence()))
    assert digest(content) != digest(canonical(evidence(f"sha256:{'1' * 64}")))


def test_calibration_equals_figures_computed_by_hand():
    frame = pd.DataFrame({"forecast": [4.0, 1.0, 6.0, 5.0, 2.0, 3.0], "units": [8.0, 0.0, 15.0, 4.0, 0.0, 1.5]})
    assert diagnostics.calibration(frame, bins=2) == (
        Bin(forecast=2.0, actual=0.5, rows=3),
        Bin(forecast=5.0, actual=9.0, rows=3),
    ), "one bin for the smaller half of the forecasts, one for the larger half"


def test_the_population_stability_index_equals_figures_computed_by_hand():
    training, backtest = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    assert diagnostics.stability(training, backtest) == pytest.approx(math.log(3)), "(1/4 - 3/4) ln(1/3) + (3/4 - 1/4) ln 3"
    assert diagnostics.stability(training, training) == 0
    missing = np.array([0.0, 0.0, 0.0, np.nan])
    assert diagnostics.stability(training, missing) == pytest.approx(2 * (0.25 - 1e-4) * math.log(2500)), (
        "missing values have their own bin"
    )
    assert diagnostics.stability(np.ones(4), np.full(4, 2.0)) > 1, "a new value counts as drift"
    unequal, equal = np.repeat([0.0, 1.0], [5, 95]), np.repeat([0.0, 1.0], [50, 50])
    assert diagnostics.stability(unequal, equal) == pytest.approx(0.45 * math.log(10) - 0.45 * math.log(50 / 95)), (
        "95 % of the rows have one value, and the other value still has its own bin"
    )


def test_a_feature_with_many_values_has_ten_bins_of_equal_size():
    training = np.arange(100.0)
    assert diagnostics.stability(training, training + 0.5) < 0.05
    assert diagnostics.stability(training, np.full(100, 95.0)) == pytest.approx(
        0.9 * math.log(10) + 9 * (0.1 - 1e-4) * math.log(1000)
    ), "all rows of the back-test are in the last bin"


def test_drift_contains_the_quantiles_in_training_and_in_the_back_test():
    training = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 1.0], [3.0, np.nan], [4.0, 1.0]])
    found = diagnostics.drift(training, training[:2] + 10, ["a", "b"])
    assert found["a"].training == Quantiles(p05=0.2, p25=1, p50=2, p75=3, p95=3.8, missing=0)
    assert (found["a"].backtest.p50, found["b"].training.missing, found["b"].backtest.missing) == (10.5, 0.4, 0.5)
    assert diagnostics.quantiles(np.full(3, np.nan)) == Quantiles(p05=0, p25=0, p50=0, p75=0, p95=0, missing=1)


class Elastic:
    """A model that depends only on the price: 100 ounces at 0.05, and fewer at higher prices."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        return 100.0 * (0.05 / np.exp(x[:, FEATURES.index("price")].astype(float))) ** 2


def test_the_price_response_equals_figures_computed_by_hand():
    row = REQUEST_EXAMPLE | {"brand": 2, "price_2": 0.04, "usual_price_2": 0.05, "cost": 0.02}
    without_cost = row | {"cost": 0.0}
    found = response.response(pd.DataFrame([row, without_cost]), Elastic())
    assert found is not None
    by_price = {point.price: point for point in found.points}
    assert (min(by_price), max(by_price), len(by_price)) == (0.6, 1.2, 13)
    assert by_price[1.0].units == pytest.approx(100, rel=1e-4), "the forecast is at the usual price, not at the planned price"
    assert by_price[1.0].earnings == pytest.approx(100 * (0.05 - 0.02), rel=1e-4), "the row without a cost is not used"
    assert by_price[0.8].units == pytest.approx(100 / 0.8**2, rel=1e-4)
    assert by_price[0.8].earnings == pytest.approx(100 / 0.8**2 * (0.04 - 0.02), rel=1e-4)
    assert response.response(pd.DataFrame([without_cost]), Elastic()) is None, "without a usable row there is no price response"


def test_the_price_response_uses_an_evenly_spaced_sample_of_many_requests(monkeypatch):
    monkeypatch.setattr(response, "RESPONSE_ROWS", 3)
    row = REQUEST_EXAMPLE | {"brand": 2, "price_2": 0.04, "cost": 0.02}
    found = response.response(pd.DataFrame([row | {"usual_price_2": 0.04 + 0.01 * n} for n in range(5)]), Elastic())
    assert found is not None
    by_price = {point.price: point for point in found.points}
    expected = np.mean([100 * (0.05 / usual) ** 2 for usual in (0.04, 0.06, 0.08)])
    assert by_price[1.0].units == pytest.approx(expected, rel=1e-4), "the first, the middle and the last request"


def test_the_step_writes_the_report_and_emits_its_metrics(tmp_path, assembled, model, monkeypatch):
    monkeypatch.setattr(weeks, "BACKTEST", range(66, 70))
    monkeypatch.setattr(weeks, "LAST", 65)
    emitted = {}
    context = Context(
        workload=MARKDOWN, source=tmp_path, share=tmp_path, folder=tmp_path, run=panels.run_of(MARKDOWN),
        emit=lambda _event, **fields: emitted.update({fields["name"]: fields["value"]}),
    )  # fmt: skip
    assembled.to_parquet(tmp_path / ASSEMBLED)
    (tmp_path / GRAPH).write_bytes(to_onnx(model).SerializeToString())
    (tmp_path / FACTS).write_text(json.dumps({"fingerprint": DATA}))
    backtest.run(context)
    found = parse((tmp_path / REPORT).read_bytes())
    assert emitted == pytest.approx(found.metrics, abs=1e-6)
    assert (found.periods, found.learned_until, found.data_until) == (("66", "67", "68", "69"), "week 65", "week 69")
    assert found.data_day == MARKDOWN.source.until
    assert set(found.drift) == set(FEATURES)
    assert found.response is not None
    units = [point.units for point in found.response.points]
    assert units == sorted(units, reverse=True), "a higher price must not sell more"
    assert sum(part.rows for part in found.calibration) == found.rows


def test_the_training_weeks_end_before_the_hold_out_set():
    assert max(range(weeks.FIRST, weeks.LAST + 1)) < min(weeks.BACKTEST)
    assert list(weeks.BACKTEST) == list(range(149, 161))
