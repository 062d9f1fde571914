"""`modelstack train` and `modelstack backtest` as commands: what they print, and what Ctrl-C and --cancel do."""

from __future__ import annotations

import contextlib
import io
import json
from types import SimpleNamespace

import pytest

from clients.model_registry import ModelVersion
from common.errors import UserError
from delivery.console.progress import PlainSink, Reporter
from delivery.training import commands
from delivery.training.log import BackTestResult, RegisteredVersion
from delivery.training.training_runs import runs_of
from tests.releases import DIGEST, RUN
from tests.reports import large
from workloads.evidence import canonical, digest
from workloads.training_run import is_id

REPORT = large()


class FakeRuns:
    """The runs in a cluster, of which one may be in progress."""

    def __init__(self):
        self.calls, self.error, self.running = [], None, "markdown-0"
        self.outcome = "confirmed"

    def __call__(self, environment, workload, version=None, run=None):
        self.calls.append(("of", environment.name, workload, version, *([run] if run else [])))
        return self

    def _run(self, what):
        self.calls.append((what,))
        if self.error is not None:
            raise self.error

    def train(self, _progress):
        self._run("train")
        return RegisteredVersion(model="markdown", version=7, run=RUN)

    def back_test(self, _progress):
        self._run("back_test")
        return BackTestResult(version=3, run=RUN, report=DIGEST, outcome=self.outcome)

    def cancel(self):
        self._run("cancel")
        return self.running


class Models:
    def __init__(self):
        self.versions, self.report = {3: RUN}, REPORT

    def newest(self, name):
        return self.version(name, max(self.versions, default=0))

    def version(self, name, version):
        return ModelVersion(name=name, version=version, run=RUN) if version in self.versions else None

    def report_content(self, _model):
        content = canonical(self.report)
        return digest(content), content


@pytest.fixture
def models():
    return Models()


@pytest.fixture
def runs(monkeypatch, models):
    made = FakeRuns()
    made.shown = io.StringIO()
    environment = SimpleNamespace(name="dev", model_registry=models, check_target=lambda: None)
    made.environment = environment
    monkeypatch.setattr(commands.Environment, "open", lambda _stack: environment)
    monkeypatch.setattr(commands, "runs_of", made)
    monkeypatch.setattr(commands, "reporter", lambda _name: contextlib.nullcontext(Reporter([PlainSink(made.shown)])))
    return made


def back_test(version=3, *, cancel=False, as_json=False):
    commands.back_test("dev", "markdown", version, cancel=cancel, as_json=as_json)


def test_a_training_ends_with_the_registered_version_and_its_release(runs, capsys):
    commands.train("dev", "markdown", cancel=False)
    assert runs.calls == [("of", "dev", "markdown", None), ("train",)]
    assert capsys.readouterr().out.splitlines() == [
        f"Registered version 7 of markdown, run {RUN}.",
        "Next: modelstack release markdown --stack dev --version 7",
    ]


def test_a_given_id_is_handed_on(runs):
    commands.train("dev", "markdown", cancel=False, run="nightly-7")
    assert runs.calls[0] == ("of", "dev", "markdown", None, "nightly-7")


@pytest.mark.parametrize("name", ["Nightly", "a_b", "-a", "a-", "a" * 64, "", "a\n", "../a"])
def test_an_id_with_the_wrong_format_is_refused_with_an_example(name):
    with pytest.raises(UserError, match="not the id of a run") as refused:
        runs_of(SimpleNamespace(), "markdown", run=name)
    assert is_id(refused.value.example)


@pytest.mark.parametrize("cancel", [False, True])
@pytest.mark.parametrize(
    "start", [lambda cancel: commands.train("dev", "markdown", cancel=cancel), lambda cancel: back_test(cancel=cancel)]
)
def test_nothing_is_started_or_ended_in_a_cluster_of_another_tier(runs, start, cancel):
    runs.environment.check_target = refuse
    with pytest.raises(UserError, match="belongs to tier prod"):
        start(cancel)
    assert [call for call in runs.calls if call[0] != "of"] == []


def refuse():
    raise UserError("The target of stack dev belongs to tier prod.")


def test_ctrl_c_says_that_the_training_goes_on_and_is_passed_on(runs, capsys):
    runs.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        commands.train("dev", "markdown", cancel=False)
    assert (
        "The run goes on in the cluster. `modelstack train markdown` follows it again, `modelstack train markdown --cancel` "
        "ends it."
    ) in runs.shown.getvalue()
    assert ("cancel",) not in runs.calls, "an interrupted `make up` must not lose an hour of training"
    assert capsys.readouterr().out == ""


def test_ctrl_c_during_a_back_test_names_the_version(runs):
    runs.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        back_test(None)
    command = "modelstack backtest markdown --version 3"
    assert f"`{command}` follows it again, `{command} --cancel` ends it" in runs.shown.getvalue(), (
        "without a version, a training in the meantime would change what the command means"
    )


@pytest.mark.parametrize("what", ["train", "back-test"])
def test_a_failure_is_not_called_a_run_that_goes_on(runs, what):
    runs.error = UserError("failed in step train")
    with pytest.raises(UserError, match="failed in step train"):
        commands.train("dev", "markdown", cancel=False) if what == "train" else back_test()
    assert runs.shown.getvalue() == ""


@pytest.mark.parametrize(("running", "line"), [("markdown-0", "Ended markdown-0."), (None, "No run is under way.")])
@pytest.mark.parametrize("what", ["train", "back-test"])
def test_cancel_ends_the_run_and_starts_none(runs, capsys, what, running, line):
    runs.running = running
    if what == "train":
        commands.train("dev", "markdown", cancel=True)
    else:
        back_test(cancel=True)
    assert runs.calls == [("of", "dev", "markdown", None if what == "train" else 3), ("cancel",)]
    assert line in runs.shown.getvalue()
    assert capsys.readouterr().out == "", "there is no version to release"


def test_without_a_version_the_newest_one_is_back_tested(runs, models):
    models.versions[5] = RUN
    back_test(None)
    assert runs.calls[0] == ("of", "dev", "markdown", 5)


@pytest.mark.parametrize("version", [None, 9])
def test_a_version_that_is_not_registered_starts_nothing(runs, models, version):
    models.versions.clear()
    with pytest.raises(UserError, match="modelstack train markdown"):
        back_test(version)
    assert runs.calls == []


def test_an_unknown_workload_starts_nothing(runs):
    with pytest.raises(UserError, match="no such workload"):
        commands.back_test("dev", "markdwon", None, cancel=False, as_json=False)
    assert runs.calls == []


@pytest.mark.parametrize(
    ("outcome", "words"), [("confirmed", "reproduced"), ("restored", "has restored"), ("recorded", "has recorded it")]
)
def test_the_outcome_of_a_back_test_is_a_sentence_with_the_report(runs, capsys, outcome, words):
    runs.outcome = outcome
    back_test()
    *_, sentence, following = capsys.readouterr().out.splitlines()
    assert words in sentence
    assert "markdown v3" in sentence
    assert DIGEST in sentence
    assert following == "Next: modelstack report markdown --version 3 --stack dev"


def test_a_back_test_shows_the_gate_s_findings_on_the_recorded_report(runs, models, capsys):
    models.report = large(better=2.5)
    back_test()
    assert "FAILED" in capsys.readouterr().out


def test_json_has_outcome_metrics_and_findings_and_nothing_else_is_printed(runs, capsys):
    back_test(as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["workload"], answer["version"], answer["outcome"], answer["metrics"]) == (
        "markdown",
        3,
        "confirmed",
        {name: round(value, 6) for name, value in REPORT.metrics.items()},
    )
    assert all(finding["passed"] for finding in answer["gate"])
