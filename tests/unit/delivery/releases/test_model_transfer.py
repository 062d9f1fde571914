"""Copies of a version between model registries: complete, made once, and refused if a file changes during the copy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from clients.model_registry import REPORT, SETTINGS, ModelRegistry
from common.errors import UserError
from delivery.releases import model_transfer
from workloads import evidence

REPORT_CONTENT = b'{"metrics": {"wape": 0.4}, "data_day": "1992-10-07"}'
FIGURES = 250
"""The number of metrics and of parameters. The MLflow server accepts fewer parameters in one request."""


class FolderRegistry(ModelRegistry):
    """A model registry in a folder. Only its client differs from that of `ModelRegistry`."""

    def __init__(self, folder: Path) -> None:
        self.url = folder.as_uri()
        self._variables = {"MLFLOW_TRACKING_URI": self.url, "MLFLOW_REGISTRY_URI": self.url, **SETTINGS}
        self.client = MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    @property
    def versions(self):
        return self.client.search_model_versions("name='markdown'")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The model registry in which versions 1 and 2 of markdown were trained."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *SETTINGS):
        monkeypatch.setenv(name, "")
    registry = FolderRegistry(tmp_path / "source")
    experiment = registry.client.create_experiment("markdown")
    registry.client.create_registered_model("markdown")
    for number in (1, 2):
        files = tmp_path / f"files-{number}"
        (files / "model" / "code").mkdir(parents=True)
        (files / "model" / "model.onnx").write_bytes(os.urandom(100))
        (files / "model" / "code" / "serving.py").write_text(f"VERSION = {number}")
        (files / "backtest").mkdir()
        report = REPORT_CONTENT
        (files / REPORT).write_bytes(report)
        run = registry.client.create_run(
            experiment, 1000, {"modelstack.data": "d", "modelstack.report": evidence.digest(report)}
        )
        name = run.info.run_id
        for figure in range(FIGURES):
            registry.client.log_metric(name, f"m{figure}", figure / 7)
            registry.client.log_param(name, f"p{figure}", figure)
        registry.client.log_artifacts(name, str(files))
        registry.client.set_terminated(name, "FINISHED", 5000)
        registry.client.create_model_version("markdown", f"{run.info.artifact_uri}/model", name)
    return registry


@pytest.fixture
def target(source, tmp_path):
    return FolderRegistry(tmp_path / "target")


def test_run_evidence_and_model_are_copied_without_a_change(source, target, tmp_path):
    model = source.version("markdown", 2)
    assert model_transfer.copy_version(source, target, model) == 1, "each model registry assigns its own version numbers"
    copy = target.version("markdown", 1)
    assert copy.tags == {**model.tags, "origin": f"{model.run}/2"}
    digest = evidence.digest(REPORT_CONTENT)
    assert target.report(copy) == source.report(model) == (digest, {"wape": 0.4}, "1992-10-07")
    original_run, copied_run = source.client.get_run(model.run), target.client.get_run(copy.run)
    assert (copied_run.data.metrics, copied_run.data.params) == (original_run.data.metrics, original_run.data.params)
    assert (copied_run.info.start_time, copied_run.info.end_time, copied_run.info.status) == (1000, 5000, "FINISHED")
    for registry, version, folder in ((source, model, "a"), (target, copy, "b")):
        registry.download(version, tmp_path / folder)
    content = model_transfer.content_digest(tmp_path / "a")
    assert model_transfer.content_digest(tmp_path / "b") == content
    (version,) = target.versions
    assert version.tags == {model_transfer.ORIGIN: f"{model.run}/2", model_transfer.CONTENT: content}


def test_a_request_has_no_more_figures_than_the_server_accepts(source, target, monkeypatch):
    sent, log = [], target.client.log_batch
    monkeypatch.setattr(target.client, "log_batch", lambda run, **figures: sent.append(figures) or log(run, **figures))
    model_transfer.copy_version(source, target, source.version("markdown", 2))
    for kind in ("metrics", "params"):
        sizes = [len(figures[kind]) for figures in sent]
        assert max(sizes) <= 100, "MLflow's server refuses more parameters in one request"
        assert sum(sizes) == FIGURES


def test_a_version_is_copied_only_once(source, target):
    for number, expected in ((2, 1), (2, None), (1, 2), (2, None)):
        assert model_transfer.copy_version(source, target, source.version("markdown", number)) == expected
    assert len(target.versions) == 2


def test_nothing_is_copied_within_one_model_registry(source):
    assert model_transfer.copy_version(source, source, source.version("markdown", 2)) is None
    assert len(source.versions) == 2


def test_an_incomplete_copy_is_deleted_and_copied_again(source, target, monkeypatch):
    model = source.version("markdown", 2)
    with monkeypatch.context() as patch:
        patch.setattr(target.client, "create_model_version", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model_transfer.copy_version(source, target, model)
    (incomplete,) = model_transfer.copied_runs(target, model)
    assert model_transfer.copy_version(source, target, model) == 1
    (complete,) = model_transfer.copied_runs(target, model)
    assert complete != incomplete


def test_a_copy_that_differs_from_the_original_is_not_registered(source, target, monkeypatch):
    log_artifacts = target.client.log_artifacts

    def change_and_log(run, folder, path=None):
        for file in Path(folder).glob("model.onnx"):
            file.write_bytes(b"something else")
        log_artifacts(run, folder, path)

    monkeypatch.setattr(target.client, "log_artifacts", change_and_log)
    with pytest.raises(UserError, match=r"(?s)The copy of markdown version 2 differs from the original.*found: sha256:"):
        model_transfer.copy_version(source, target, source.version("markdown", 2))
    assert target.versions == []


def test_the_digest_of_a_folder_depends_on_paths_and_content(tmp_path):
    digests = set()
    for number, (name, content) in enumerate((("a", "x"), ("a", "y"), ("b", "x"), ("c/a", "x"))):
        file = tmp_path / str(number) / name
        file.parent.mkdir(parents=True)
        file.write_text(content)
        digests.add(model_transfer.content_digest(tmp_path / str(number)))
    assert len(digests) == 4
