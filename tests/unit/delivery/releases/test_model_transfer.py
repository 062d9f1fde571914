"""A version brought from one registry to another: all of it, once, and nothing that was changed on the way."""

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
"""More than a server takes at once."""


class Folder(ModelRegistry):
    """A registry in a folder. Nothing but the client is another."""

    def __init__(self, folder: Path) -> None:
        self.url = folder.as_uri()
        self._variables = {"MLFLOW_TRACKING_URI": self.url, "MLFLOW_REGISTRY_URI": self.url, **SETTINGS}
        self.client = MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    @property
    def versions(self):
        return self.client.search_model_versions("name='markdown'")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Where version 2 of markdown was trained."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *SETTINGS):
        monkeypatch.setenv(name, "")
    made = Folder(tmp_path / "source")
    experiment = made.client.create_experiment("markdown")
    made.client.create_registered_model("markdown")
    for number in (1, 2):
        files = tmp_path / f"files-{number}"
        (files / "model" / "code").mkdir(parents=True)
        (files / "model" / "model.onnx").write_bytes(os.urandom(100))
        (files / "model" / "code" / "serving.py").write_text(f"VERSION = {number}")
        (files / "backtest").mkdir()
        report = REPORT_CONTENT
        (files / REPORT).write_bytes(report)
        run = made.client.create_run(experiment, 1000, {"modelstack.data": "d", "modelstack.report": evidence.digest(report)})
        name = run.info.run_id
        for figure in range(FIGURES):
            made.client.log_metric(name, f"m{figure}", figure / 7)
            made.client.log_param(name, f"p{figure}", figure)
        made.client.log_artifacts(name, str(files))
        made.client.set_terminated(name, "FINISHED", 5000)
        made.client.create_model_version("markdown", f"{run.info.artifact_uri}/model", name)
    return made


@pytest.fixture
def target(source, tmp_path):
    return Folder(tmp_path / "target")


def test_run_evidence_and_model_arrive_as_they_are(source, target, tmp_path):
    model = source.version("markdown", 2)
    assert model_transfer.copy_version(source, target, model) == 1, "each registry numbers its own"
    there = target.version("markdown", 1)
    assert there.tags == {**model.tags, "origin": f"{model.run}/2"}
    digest = evidence.digest(REPORT_CONTENT)
    assert target.report(there) == source.report(model) == (digest, {"wape": 0.4}, "1992-10-07")
    was, now = source.client.get_run(model.run), target.client.get_run(there.run)
    assert (now.data.metrics, now.data.params) == (was.data.metrics, was.data.params)
    assert (now.info.start_time, now.info.end_time, now.info.status) == (1000, 5000, "FINISHED")
    for registry, version, folder in ((source, model, "a"), (target, there, "b")):
        registry.download(version, tmp_path / folder)
    content = model_transfer.content_digest(tmp_path / "a")
    assert model_transfer.content_digest(tmp_path / "b") == content
    (version,) = target.versions
    assert version.tags == {model_transfer.ORIGIN: f"{model.run}/2", model_transfer.CONTENT: content}


def test_no_more_figures_are_sent_at_once_than_a_server_takes(source, target, monkeypatch):
    sent, log = [], target.client.log_batch
    monkeypatch.setattr(target.client, "log_batch", lambda run, **figures: sent.append(figures) or log(run, **figures))
    model_transfer.copy_version(source, target, source.version("markdown", 2))
    for kind in ("metrics", "params"):
        sizes = [len(figures[kind]) for figures in sent]
        assert max(sizes) <= 100, "MLflow's server refuses more parameters in one request"
        assert sum(sizes) == FIGURES


def test_what_is_there_is_not_brought_again(source, target):
    for number, expected in ((2, 1), (2, None), (1, 2), (2, None)):
        assert model_transfer.copy_version(source, target, source.version("markdown", number)) == expected
    assert len(target.versions) == 2


def test_within_one_registry_nothing_is_brought(source):
    assert model_transfer.copy_version(source, source, source.version("markdown", 2)) is None
    assert len(source.versions) == 2


def test_what_was_brought_half_is_begun_anew(source, target, monkeypatch):
    model = source.version("markdown", 2)
    with monkeypatch.context() as broken:
        broken.setattr(target.client, "create_model_version", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model_transfer.copy_version(source, target, model)
    (half,) = model_transfer.copies_of(target, model)
    assert model_transfer.copy_version(source, target, model) == 1
    (whole,) = model_transfer.copies_of(target, model)
    assert whole != half


def test_what_does_not_arrive_as_it_was_sent_is_not_registered(source, target, monkeypatch):
    sent = target.client.log_artifacts

    def changed(run, folder, path=None):
        for file in Path(folder).glob("model.onnx"):
            file.write_bytes(b"something else")
        sent(run, folder, path)

    monkeypatch.setattr(target.client, "log_artifacts", changed)
    with pytest.raises(UserError, match=r"(?s)Version 2 of markdown has not arrived as it was sent.*found: sha256:"):
        model_transfer.copy_version(source, target, source.version("markdown", 2))
    assert target.versions == []


def test_a_contents_digest_knows_names_and_bytes(tmp_path):
    digests = set()
    for number, (name, content) in enumerate((("a", "x"), ("a", "y"), ("b", "x"), ("c/a", "x"))):
        file = tmp_path / str(number) / name
        file.parent.mkdir(parents=True)
        file.write_text(content)
        digests.add(model_transfer.content_digest(tmp_path / str(number)))
    assert len(digests) == 4
