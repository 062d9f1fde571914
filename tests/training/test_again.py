"""Evidence made again from a registered model: the same report, or nothing is changed and the reason is told.

With `tuna`, whose steps take seconds, and a registry in a folder.
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
    """A version of tuna that was trained into a registry of its own."""

    share: Path
    told: list[dict[str, Any]] = field(default_factory=list)

    def context(self, name: str, version: int | None = 1, **changes: Any) -> Context:
        folder = self.share / "runs" / name
        folder.mkdir(parents=True)
        made = Context(
            workload=TUNA,
            source=panels.published(),
            share=self.share,
            folder=folder,
            revision="1234567",
            trainer="t@example.com",
            image="i",
            version=version,
            emit=lambda event, **fields: self.told.append({"event": event, **fields}),
        )
        return replace(made, **changes)

    def again(self, name: str = "again", **changes: Any) -> dict[str, Any]:
        """What a back-test of version 1 says at last."""
        run.run(TUNA, self.context(name, **changes))
        return self.told[-1]

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
    made = Registry(tmp_path)
    context = made.context("trained", None)
    for step in (source, history, train, backtest, register):
        step.run(context)
    return made


def test_the_same_report_comes_out_and_is_recorded_as_confirmed(registry: Registry):
    before, report = registry.run(), registry.report()
    found = registry.again()
    assert (found["event"], found["outcome"], found["version"]) == ("evidence", "confirmed", 1)
    assert found["report"] == before.data.tags["modelstack.report"]
    assert registry.report() == report
    tags = registry.run().data.tags
    assert tags.pop("modelstack.confirmed").endswith("Z by t@example.com")
    assert tags == before.data.tags
    assert not (registry.share / "runs" / "again" / MODEL).exists(), "nothing was learned"


def test_a_report_that_was_changed_in_the_registry_is_put_back(registry: Registry):
    report = registry.report()
    with mlflow.start_run(run_id=registry.run().info.run_id):
        mlflow.log_text(report.decode().replace('"wape":0.4', '"wape":0.3'), REPORT)
    assert registry.report() != report
    assert registry.again()["outcome"] == "restored"
    assert registry.report() == report


def test_a_version_without_evidence_is_given_it(registry: Registry):
    report, name = registry.report(), registry.run().info.run_id
    mlflow.MlflowClient().delete_tag(name, "modelstack.report")
    found = registry.again()
    assert (found["outcome"], found["report"]) == ("recorded", registry.run().data.tags["modelstack.report"])
    assert registry.report() == report
    assert "modelstack.confirmed" not in registry.run().data.tags, "it was made once"


def test_a_version_that_was_trained_before_the_day_of_its_data_was_declared_is_confirmed(registry: Registry):
    source = TUNA.source.model_copy(update={"until": date(1997, 5, 7)})
    dated = TUNA.model_copy(update={"source": source})
    report = registry.report()
    assert registry.again(workload=dated)["outcome"] == "confirmed"
    assert registry.report() == report, "its evidence is never another"
    mlflow.MlflowClient().delete_tag(registry.run().info.run_id, "modelstack.report")
    assert registry.again("recorded", workload=dated)["outcome"] == "recorded"
    assert b'"data_day":"1997-05-07"' in registry.report(), "one that has none is given it with the day"


def test_what_the_gate_says_of_the_age_on_the_day_of_the_training_is_kept_and_told(registry: Registry, capsys):
    until = datetime.now(UTC).date() - timedelta(days=120)
    workload = TUNA.model_copy(
        update={"gate": Gate(rules=(Age(at_most_days=90),)), "source": TUNA.source.model_copy(update={"until": until})}
    )
    mlflow.MlflowClient().delete_tag(registry.run().info.run_id, "modelstack.report")
    registry.again(workload=workload)
    kept = mlflow.artifacts.load_dict(f"{registry.run().info.artifact_uri}/backtest/gate.json")
    (finding,) = kept["findings"]
    assert (finding["passed"], finding["bound"]) == (False, 90)
    assert finding["value"] in {120, 121}, "whether or not it is midnight"
    assert "would refuse this version: age of the data <= 90 days: found 12" in capsys.readouterr().out


def test_another_report_is_refused_with_what_differs_and_changes_nothing(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    before, report = registry.run(), registry.report()
    last_week = backtest.BASELINES["last_week"]
    monkeypatch.setitem(backtest.BASELINES, "last_week", lambda requests: last_week(requests) + 1000)
    with pytest.raises(TrainingError, match=r"cannot be made again: metrics\.wape_last_week was [\d.]+ and is [\d.]+"):
        registry.again()
    assert (registry.run().data.tags, registry.report()) == (before.data.tags, report)


def test_a_version_that_learned_from_other_data_is_refused_before_any_work(registry: Registry):
    mlflow.MlflowClient().set_tag(registry.run().info.run_id, "modelstack.data", "sha256:other")
    with pytest.raises(TrainingError, match=r"learned from data sha256:other.* Check out the revision .*1234567"):
        registry.again()
    assert not (registry.share / "runs" / "again" / reports.REPORT).exists()


def test_a_version_that_is_not_there_is_told(registry: Registry):
    with pytest.raises(TrainingError, match="version 9 of tuna cannot be had"):
        registry.again(version=9)


def test_it_is_the_registered_model_that_is_tested(registry: Registry):
    """Not the one that was fitted: the evidence is of the graph that serves."""
    context = registry.context("other")
    again.restore(context)
    for step in (source, history, backtest):
        step.run(context)
    forecasts = pd.read_parquet(context.folder / reports.FORECASTS)["forecast"]
    trained = registry.share / "runs" / "trained"
    requests = pd.read_parquet(trained / history.REQUESTS)
    native = train.forecast(joblib.load(trained / MODEL), requests[requests["week"].isin(backtest.weeks.BACKTEST)])
    np.testing.assert_allclose(forecasts, native, rtol=register.AGREEMENT)
    assert (forecasts.to_numpy() != native).any(), "float32 sums"


def test_what_differs_beside_the_metrics_is_named_by_its_place():
    figures = list(
        again._figures({"rows": 3, "slices": {"brand": {"1": {"wape": 0.4}}}, "bins": [{"rows": 2}], "metrics": {"a": 1}})
    )
    assert figures == [("metrics.a", 1), ("rows", 3), ("slices.brand.1.wape", 0.4), ("bins.0.rows", 2)]
