"""Metrics, baselines and the report, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workloads.markdown import weeks
from workloads.markdown.backtest import canonical, digest, report
from workloads.markdown.metrics import bias, last_week, mean8, wape


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


def test_a_report_holds_the_errors_overall_by_brand_and_by_week():
    found = report(forecasts(), "sha256:00")
    assert found["metrics"] == {"wape": 0.3, "bias": -0.1, "wape_last_week": 1.0, "wape_mean8": 0.7}
    assert found["by_brand"]["1"] == {"wape": round(30 / 70, 6), "bias": round(60 / 70 - 1, 6)}
    assert found["by_week"]["149"]["wape"] == 0.25
    assert (found["weeks"], found["learned_until_week"], found["rows"]) == ([149, 150], 148, 3)


def test_the_same_evidence_has_the_same_digest_and_other_evidence_another():
    one, other = report(forecasts(), "sha256:00"), report(forecasts(), "sha256:00")
    assert digest(canonical(one)) == digest(canonical(dict(reversed(other.items())))), "the order of keys does not count"
    assert digest(canonical(one)) != digest(canonical(report(forecasts(), "sha256:01")))
    with pytest.raises(ValueError, match="JSON"):
        canonical({"wape": float("nan")})


def test_nothing_is_learned_from_the_weeks_of_the_back_test():
    assert max(range(weeks.FIRST, weeks.LAST + 1)) < min(weeks.BACKTEST)
    assert list(weeks.BACKTEST) == list(range(149, 161))
