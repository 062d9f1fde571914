"""Features: no leakage of future data, and the same values in Spark, in pandas and in a request."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import panels
import pytest

from workloads.markdown.features import FEATURES, INPUT_NAMES, LEVELS, features, inputs_of
from workloads.markdown.history import KEYS, matrix_of, requests_of_store
from workloads.markdown.serving import REQUEST_COLUMNS, features_of_request
from workloads.markdown.spark import session
from workloads.markdown.steps.assemble import assemble, of_store
from workloads.markdown.steps.prepare import prepare


@pytest.mark.parametrize("week", [45, 55, 64])
def test_sales_of_a_week_and_later_do_not_leak_into_the_features_of_that_week(panel: pd.DataFrame, week: int):
    changed = panel.copy()
    later = changed["week"] >= week
    draw = np.random.default_rng(week)
    changed.loc[later, "logmove"] = draw.normal(9, 2, later.sum())
    changed.loc[later, "profit"] = draw.uniform(0, 50, later.sum())
    after = changed["week"] > week
    changed.loc[after, [f"price{number}" for number in range(1, 12)]] *= draw.uniform(0.5, 2, (after.sum(), 11))
    changed.loc[after, ["deal", "feat"]] = draw.integers(0, 2, (after.sum(), 2))
    columns = [*REQUEST_COLUMNS, *(f"x_{name}" for name in FEATURES)]
    for before, now in zip(of_stores(panel), of_stores(changed), strict=True):
        rows = before["week"] <= week
        pd.testing.assert_frame_equal(before.loc[rows, columns], now.loc[rows, columns])
        assert not np.allclose(before.loc[~rows, "past_units_1"], now.loc[~rows, "past_units_1"]), (
            "the change must reach later weeks, otherwise this test shows nothing"
        )


def of_stores(panel: pd.DataFrame) -> list[pd.DataFrame]:
    return [of_store(part) for _, part in panels.prepared(panel).groupby("store")]


def test_spark_and_pandas_compute_the_same_requests_and_features(panel: pd.DataFrame, assembled: pd.DataFrame):
    with session("test") as spark:
        found = assemble(prepare(spark.createDataFrame(panel))).toPandas()
    found = found.sort_values(list(KEYS), ignore_index=True)
    expected = assembled.sort_values(list(KEYS), ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5, atol=1e-6)


def test_a_request_sent_as_json_has_the_features_of_training(assembled: pd.DataFrame):
    row = assembled.iloc[[500]]
    sent = json.loads(json.dumps({name: row[name].tolist() for name in REQUEST_COLUMNS}))
    columns = {name: np.array(values) for name, values in sent.items()}
    np.testing.assert_array_equal(features_of_request(columns), matrix_of(row))


def test_a_request_contains_the_panel_s_values_of_the_weeks_before(panel: pd.DataFrame):
    prepared = panels.prepared(panel)
    requests = requests_of_store(prepared[prepared["store"] == 20]).set_index(["brand", "week"])
    series = prepared[(prepared["store"] == 20) & (prepared["brand"] == 3)].set_index("week")
    for week in (41, 50, 69):
        if (3, week) not in requests.index:
            continue
        request = requests.loc[(3, week)]
        for back in (1, 2, 13):
            sold = series["units"].get(week - back, 0.0)
            price = series["price_3"].get(week - back, 0.0)
            assert request[f"past_units_{back}"] == pytest.approx(sold), f"units {back} weeks before week {week}"
            assert request[f"past_price_{back}"] == pytest.approx(price), f"price {back} weeks before week {week}"


def test_features_of_a_row_do_not_depend_on_the_rows_beside_it(assembled: pd.DataFrame):
    inputs = inputs_of(assembled.iloc[:50])
    together = features(inputs)
    alone = np.concatenate([features(inputs[[row]]) for row in range(50)])
    np.testing.assert_array_equal(together, alone)


def test_levels_are_never_nan_even_without_any_history():
    blank = dict.fromkeys(INPUT_NAMES, np.zeros(1)) | {"brand": np.ones(1), "price_1": np.full(1, 0.04)}
    found = features(inputs_of(blank))[0, [FEATURES.index(name) for name in LEVELS]]
    assert np.isfinite(found).all(), "the model predicts deviations from a level, so every level must exist"


def test_features_of_one_row_equal_figures_computed_by_hand():
    row = dict.fromkeys(INPUT_NAMES, np.zeros(1)) | {"brand": np.full(1, 2), "price_2": np.full(1, 0.05)}
    row |= {f"past_units_{week}": np.full(1, units) for week, units in ((1, 100.0), (3, 400.0), (4, 200.0), (9, 800.0))}
    row |= {f"past_price_{week}": np.full(1, 0.05) for week in (1, 3, 4, 9)} | {"past_deal_3": np.ones(1)}
    found = dict(zip(FEATURES, features(inputs_of(row))[0], strict=True))
    assert found["units_median_4"] == pytest.approx(np.log(200)), "the week without sales does not count"
    assert found["units_mean_8"] == pytest.approx(np.log(200)), "the mean of logs"
    assert found["units_max_13"] == pytest.approx(np.log(800))
    assert found["units_on_deal"] == pytest.approx(np.log(400))
    assert found["weeks_since_deal"] == 3
    assert np.isnan(found["weeks_since_feat"])
    assert found["deals_4"] == pytest.approx(1 / 3)
    assert found["price_to_max_13"] == pytest.approx(0, abs=1e-6)
