"""The gate's verdict on a version's evidence, as `modelstack report` and `modelstack backtest` show it."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta

import pytest

from clients.model_registry import ModelVersion
from common import clock
from delivery.releases.review import review_of
from delivery.releases.stack_editor import StackEditor
from delivery.stacks import stack_file
from delivery.training import commands
from delivery.training.log import BackTestResult
from infra.promotion.deployed import DeployedReleases, parse
from tests.releases import AGED, DIGEST, METRICS, RUN, STACK_FILE, TODAY, outputs, release, released
from tests.reports import large
from tests.tiers import tier_of
from workloads.evidence import canonical, digest


class Models:
    """A model registry in which each version has the same evidence. Its data ends 120 days ago."""

    content = canonical(large().model_copy(update={"data_day": TODAY - timedelta(days=120)}))

    def version(self, name, version):
        return ModelVersion(name=name, version=version, run=RUN, tags={"data": DIGEST, "revision": "1a2b3c4"})

    def report_content(self, _model):
        return digest(self.content), self.content


@pytest.mark.parametrize(
    ("deployed", "passed"),
    [
        (DeployedReleases(), False),
        (DeployedReleases(here=parse(outputs(released(2)))), False),
        (DeployedReleases(here=parse(outputs(released(3)))), True),
    ],
    ids=["a first version", "a new version", "the served version"],
)
def test_the_age_of_the_data_is_shown_and_fails_only_a_version_that_is_not_served_yet(tmp_path, deployed, passed):
    file = tmp_path / "Pulumi.stage.yaml"
    file.write_text(stack_file.with_releases(STACK_FILE, "markdown", {"stable": 3, "versions": [release(3)]}))
    text = file.read_text()
    editor = StackEditor(tier=tier_of("stage"), file=file, text=text, workload=AGED, deployed=deployed, today=TODAY)
    review = review_of(editor, Models(), 3, None)
    *_, age = review.findings
    assert (age.rule, age.value, age.bound, age.passed) == ("age of the data <= 90 days", 120, 90, passed)


def test_a_back_test_shows_the_age_of_the_data_today(monkeypatch, capsys):
    class Environment:
        model_registry = Models()

        def check_target(self):
            pass

    class Runs:
        def back_test(self, _progress):
            return BackTestResult(version=3, run=RUN, report=DIGEST, outcome="confirmed"), METRICS

    monkeypatch.setattr(commands.Environment, "open", lambda _stack: Environment())
    monkeypatch.setattr(commands, "runs_of", lambda *_: Runs())
    monkeypatch.setattr(commands, "reporter", contextlib.nullcontext)
    monkeypatch.setattr(commands, "find_workload", lambda _name: AGED)
    monkeypatch.setattr(clock, "today", lambda: TODAY)
    commands.back_test("dev", "markdown", 3, cancel=False, as_json=True)
    *_, age = json.loads(capsys.readouterr().out)["gate"]
    assert (age["rule"], age["value"], age["bound"], age["passed"]) == ("age of the data <= 90 days", 120, 90, False)
    commands.back_test("dev", "markdown", 3, cancel=False, as_json=False)
    assert "age of the data <= 90 days 120 90 FAILED" in " ".join(capsys.readouterr().out.split())
