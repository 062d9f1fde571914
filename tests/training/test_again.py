"""Repeated back-tests of a registered model: the report is the same, or an error gives the reason and nothing changes.

The tests use `tuna`, whose steps take seconds, and a model registry in a folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import panels
import pytest

from workloads import run
from workloads.context import Context, TrainingError
from workloads.gate import Age, Gate
from workloads.training import again, reports
from workloads.tuna.steps import backtest, history, register, source, train
from workloads.tuna.steps.train import MODEL
from workloads.tuna.workload import TUNA

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Run

REPORT = "backtest/report.json"


@dataclass
class Registry:
    """A model registry with one version of tuna, and runs that back-test it."""

    share: Path
    events: list[dict[str, Any]] = field(default_factory=list)

    def context(self, name: str, version: int | None = 1, **changes: Any) -> Context:
        folder = self.share / "runs" / name
        folder.mkdir(parents=True)
        context = Context(
            workload=TUNA,
            source=panels.published(),
            share=self.share,
            folder=folder,
            run=panels.run_of(TUNA, name, version=version),
            emit=lambda event, **fields: self.events.append({"event": event, **fields}),
        )
        return replace(context, **changes)

    def backtest(self, name: str = "again", **changes: Any) -> dict[str, Any]:
        """Back-tests version 1 and returns the last event."""
        run.run(TUNA, self.context(name, **changes))
        return self.events[-1]

    def run(self) -> Run:
        client = mlflow.MlflowClient()
        return client.get_run(client.get_model_version("tuna", "1").run_id)

    def report(self) -> bytes:
        return mlflow.artifacts.load_text(f"{self.run().info.artifact_uri}/{REPORT}").encode()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr("workloads.training.tracking._environment", str)
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    registry = Registry(tmp_path)
    context = registry.context("trained", None)
    for step in (source, history, train, backtest, register):
        step.run(context)
    return registry


def test_an_identical_report_is_recorded_as_confirmed(registry: Registry):
    before, report = registry.run(), registry.report()
    found = registry.backtest()
    assert (found["event"], found["outcome"], found["version"]) == ("evidence", "confirmed", 1)
    assert found["report"] == before.data.tags["modelstack.report"]
    assert registry.report() == report
    tags = registry.run().data.tags
    assert tags.pop("modelstack.confirmed").endswith("Z by t@example.com")
    assert tags == before.data.tags
    assert not (registry.share / "runs" / "again" / MODEL).exists(), "a back-test must not train a model"


def test_a_report_that_was_changed_in_the_registry_is_restored(registry: Registry):
    report = registry.report()
    with mlflow.start_run(run_id=registry.run().info.run_id):
        mlflow.log_text(report.decode().replace('"wape":0.4', '"wape":0.3'), REPORT)
    assert registry.report() != report
    assert registry.backtest()["outcome"] == "restored"
    assert registry.report() == report


def test_the_report_is_recorded_if_the_version_has_no_evidence(registry: Registry):
    report, name = registry.report(), registry.run().info.run_id
    mlflow.MlflowClient().delete_tag(name, "modelstack.report")
    found = registry.backtest()
    assert (found["outcome"], found["report"]) == ("recorded", registry.run().data.tags["modelstack.report"])
    assert registry.report() == report
    assert "modelstack.confirmed" not in registry.run().data.tags, "it was computed only once"


def test_evidence_from_before_the_day_of_the_data_was_declared_is_confirmed(registry: Registry):
    source = TUNA.source.model_copy(update={"until": date(1997, 5, 7)})
    dated = TUNA.model_copy(update={"source": source})
    report = registry.report()
    assert registry.backtest(workload=dated)["outcome"] == "confirmed"
    assert registry.report() == report, "existing evidence must not change"
    mlflow.MlflowClient().delete_tag(registry.run().info.run_id, "modelstack.report")
    assert registry.backtest("recorded", workload=dated)["outcome"] == "recorded"
    assert b'"data_day":"1997-05-07"' in registry.report(), "new evidence contains the day"


def test_the_gate_s_finding_on_the_age_of_the_data_is_logged_and_printed(registry: Registry, capsys):
    until = datetime.now(UTC).date() - timedelta(days=120)
    workload = TUNA.model_copy(
        update={"gate": Gate(rules=(Age(at_most_days=90),)), "source": TUNA.source.model_copy(update={"until": until})}
    )
    mlflow.MlflowClient().delete_tag(registry.run().info.run_id, "modelstack.report")
    registry.backtest(workload=workload)
    logged = mlflow.artifacts.load_dict(f"{registry.run().info.artifact_uri}/backtest/gate.json")
    (finding,) = logged["findings"]
    assert (finding["passed"], finding["bound"]) == (False, 90)
    assert finding["value"] in {120, 121}, "the test may run across midnight"
    assert "would refuse this version: age of the data <= 90 days: found 12" in capsys.readouterr().out


def test_a_different_report_is_refused_with_its_differences_and_changes_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
):
    before, report = registry.run(), registry.report()
    last_week = backtest.BASELINES["last_week"]
    monkeypatch.setitem(backtest.BASELINES, "last_week", lambda requests: last_week(requests) + 1000)
    with pytest.raises(
        TrainingError,
        match=r"does not reproduce the evidence of version 1 of tuna: metrics\.wape_last_week was [\d.]+ and is [\d.]+",
    ):
        registry.backtest()
    assert (registry.run().data.tags, registry.report()) == (before.data.tags, report)


def test_a_version_that_was_trained_on_other_data_is_refused_before_the_back_test(registry: Registry):
    mlflow.MlflowClient().set_tag(registry.run().info.run_id, "modelstack.data", "sha256:other")
    with pytest.raises(TrainingError, match=r"was trained on data sha256:other.* Check out the revision .*1234567"):
        registry.backtest()
    assert not (registry.share / "runs" / "again" / reports.REPORT).exists()


def test_a_version_that_does_not_exist_is_refused(registry: Registry):
    with pytest.raises(TrainingError, match="cannot find version 9 of tuna"):
        registry.backtest(version=9)


def test_the_back_test_uses_the_registered_onnx_model(registry: Registry):
    """It must not use the native model, because the evidence is about the graph that is served."""
    context = registry.context("other")
    again.restore(context)
    for step in (source, history, backtest):
        step.run(context)
    forecasts = pd.read_parquet(context.folder / reports.FORECASTS)["forecast"]
    trained = registry.share / "runs" / "trained"
    requests = pd.read_parquet(trained / history.REQUESTS)
    native = train.forecast(joblib.load(trained / MODEL), requests[requests["week"].isin(backtest.weeks.BACKTEST)])
    np.testing.assert_allclose(forecasts, native, rtol=register.AGREEMENT)
    assert (forecasts.to_numpy() != native).any(), "float32 sums must differ a little"


def test_differences_are_named_by_their_paths_and_metrics_come_first():
    figures = list(
        again._figures({"rows": 3, "slices": {"brand": {"1": {"wape": 0.4}}}, "bins": [{"rows": 2}], "metrics": {"a": 1}})
    )
    assert figures == [("metrics.a", 1), ("rows", 3), ("slices.brand.1.wape", 0.4), ("bins.0.rows", 2)]
