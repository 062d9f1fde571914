"""Metrics, baselines and the report, by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
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
    """A request whose past weeks had these units, the latest first."""
    past = {f"past_units_{week}": [0.0] for week in range(1, 14)}
    return pd.DataFrame(past | {f"past_units_{week + 1}": [value] for week, value in enumerate(units)} | {"store_units": [7.0]})


def test_wape_and_bias_by_hand():
    actual, forecast = np.array([10.0, 30.0, 60.0]), np.array([20.0, 30.0, 40.0])
    assert wape(actual, forecast) == pytest.approx(0.3), "(10 + 0 + 20) / 100"
    assert bias(actual, forecast) == pytest.approx(-0.1), "90 / 100 - 1"


def test_the_last_week_is_the_last_one_with_sales():
    assert last_week(history(5.0, 9.0)).tolist() == [5.0]
    assert last_week(history(0.0, 0.0, 9.0, 4.0)).tolist() == [9.0], "a week without sales says nothing"
    assert last_week(history()).tolist() == [7.0], "a series without history sells like its store's others"


def test_the_mean_of_eight_weeks_is_geometric_and_skips_weeks_without_sales():
    assert mean8(history(1.0, 100.0)) == pytest.approx(10.0)
    assert mean8(history(0.0, *[4.0] * 8, 1e9)) == pytest.approx(4.0), "the ninth week with sales is left out"
    assert mean8(history()).tolist() == [7.0]


def forecasts() -> pd.DataFrame:
    keys = {"store": [2, 2, 5], "brand": [1, 2, 1], "week": [149, 149, 150]}
    return pd.DataFrame(
        keys | {"units": [10.0, 30.0, 60.0], "forecast": [20.0, 30.0, 40.0], "last_week": [0.0] * 3, "mean8": [10.0] * 3}
    )


def evidence(data: str = DATA) -> Report:
    return report(forecasts(), data=data, data_until=150, data_day=MARKDOWN.source.until, response=None, drift={})


def test_a_report_holds_what_the_gate_asks_for():
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


def test_slices_by_hand():
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
    assert (slices["week"]["149"]["wape"], slices["week"]["149"]["wape_mean8"]) == (0.25, 0.5), "baselines week by week"


def test_the_report_reads_as_it_was_written_and_its_digest_names_it():
    content = canonical(evidence())
    assert parse(content) == evidence()
    assert digest(content) == digest(canonical(evidence()))
    assert digest(content) != digest(canonical(evidence(f"sha256:{'1' * 64}")))


def test_calibration_by_hand():
    frame = pd.DataFrame({"forecast": [4.0, 1.0, 6.0, 5.0, 2.0, 3.0], "units": [8.0, 0.0, 15.0, 4.0, 0.0, 1.5]})
    assert diagnostics.calibration(frame, bins=2) == (
        Bin(forecast=2.0, actual=0.5, rows=3),
        Bin(forecast=5.0, actual=9.0, rows=3),
    ), "means of the smaller half of the forecasts, and of the larger"


def test_the_stability_index_by_hand():
    was, now = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    assert diagnostics.stability(was, now) == pytest.approx(math.log(3)), "(1/4 - 3/4) ln(1/3) + (3/4 - 1/4) ln 3"
    assert diagnostics.stability(was, was) == 0
    gone = np.array([0.0, 0.0, 0.0, np.nan])
    assert diagnostics.stability(was, gone) == pytest.approx(2 * (0.25 - 1e-4) * math.log(2500)), "not known is a bin as well"
    assert diagnostics.stability(np.ones(4), np.full(4, 2.0)) > 1, "a value that was never seen is seen as drift"
    often, seldom = np.repeat([0.0, 1.0], [5, 95]), np.repeat([0.0, 1.0], [50, 50])
    assert diagnostics.stability(often, seldom) == pytest.approx(0.45 * math.log(10) - 0.45 * math.log(50 / 95)), (
        "nine tenths of it have one value, and the other one still has a bin"
    )


def test_a_feature_of_many_values_is_cut_into_tenths_of_training():
    was = np.arange(100.0)
    assert diagnostics.stability(was, was + 0.5) < 0.05
    assert diagnostics.stability(was, np.full(100, 95.0)) == pytest.approx(
        0.9 * math.log(10) + 9 * (0.1 - 1e-4) * math.log(1000)
    ), "all rows in the last tenth"


def test_drift_tells_where_a_feature_was_and_where_it_is():
    training = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 1.0], [3.0, np.nan], [4.0, 1.0]])
    found = diagnostics.drift(training, training[:2] + 10, ["a", "b"])
    assert found["a"].training == Quantiles(p05=0.2, p25=1, p50=2, p75=3, p95=3.8, missing=0)
    assert (found["a"].backtest.p50, found["b"].training.missing, found["b"].backtest.missing) == (10.5, 0.4, 0.5)
    assert diagnostics.quantiles(np.full(3, np.nan)) == Quantiles(p05=0, p25=0, p50=0, p75=0, p95=0, missing=1)


class Elastic:
    """Sells 100 ounces at the chain's price of 0.05, and less the dearer it is; knows no more than the price."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        return 100.0 * (0.05 / np.exp(x[:, FEATURES.index("price")].astype(float))) ** 2


def test_the_price_response_by_hand():
    row = REQUEST_EXAMPLE | {"brand": 2, "price_2": 0.04, "usual_price_2": 0.05, "cost": 0.02}
    without_cost = row | {"cost": 0.0}
    found = response.response(pd.DataFrame([row, without_cost]), Elastic())
    assert found is not None
    by_price = {point.price: point for point in found.points}
    assert (min(by_price), max(by_price), len(by_price)) == (0.6, 1.2, 13)
    assert by_price[1.0].units == pytest.approx(100, rel=1e-4), "at the usual price, whatever was planned"
    assert by_price[1.0].earnings == pytest.approx(100 * (0.05 - 0.02), rel=1e-4), "the row without a cost has no say"
    assert by_price[0.8].units == pytest.approx(100 / 0.8**2, rel=1e-4)
    assert by_price[0.8].earnings == pytest.approx(100 / 0.8**2 * (0.04 - 0.02), rel=1e-4)
    assert response.response(pd.DataFrame([without_cost]), Elastic()) is None, "nothing is made up"


def test_of_many_requests_some_are_asked_evenly(monkeypatch):
    monkeypatch.setattr(response, "RESPONSE_ROWS", 3)
    row = REQUEST_EXAMPLE | {"brand": 2, "price_2": 0.04, "cost": 0.02}
    found = response.response(pd.DataFrame([row | {"usual_price_2": 0.04 + 0.01 * n} for n in range(5)]), Elastic())
    assert found is not None
    by_price = {point.price: point for point in found.points}
    expected = np.mean([100 * (0.05 / usual) ** 2 for usual in (0.04, 0.06, 0.08)])
    assert by_price[1.0].units == pytest.approx(expected, rel=1e-4), "the first, the middle and the last"


def test_the_step_leaves_the_report_of_what_the_model_says(tmp_path, assembled, model, monkeypatch):
    monkeypatch.setattr(weeks, "BACKTEST", range(66, 70))
    monkeypatch.setattr(weeks, "LAST", 65)
    told = {}
    context = Context(
        workload=MARKDOWN, source=tmp_path, share=tmp_path, folder=tmp_path, revision="r", trainer="t@example.com", image="i",
        emit=lambda _event, **fields: told.update({fields["name"]: fields["value"]}),
    )  # fmt: skip
    assembled.to_parquet(tmp_path / ASSEMBLED)
    (tmp_path / GRAPH).write_bytes(to_onnx(model).SerializeToString())
    (tmp_path / FACTS).write_text(json.dumps({"fingerprint": DATA}))
    backtest.run(context)
    found = parse((tmp_path / REPORT).read_bytes())
    assert told == pytest.approx(found.metrics, abs=1e-6)
    assert (found.periods, found.learned_until, found.data_until) == (("66", "67", "68", "69"), "week 65", "week 69")
    assert found.data_day == MARKDOWN.source.until
    assert set(found.drift) == set(FEATURES)
    assert found.response is not None
    units = [point.units for point in found.response.points]
    assert units == sorted(units, reverse=True), "at a higher price, no more is sold"
    assert sum(part.rows for part in found.calibration) == found.rows


def test_nothing_is_learned_from_the_weeks_of_the_back_test():
    assert max(range(weeks.FIRST, weeks.LAST + 1)) < min(weeks.BACKTEST)
    assert list(weeks.BACKTEST) == list(range(149, 161))
