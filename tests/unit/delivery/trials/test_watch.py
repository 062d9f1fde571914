"""`modelstack canary --watch` and `shadow --compare`, from the command line to the stack file, with a fake cluster."""

from __future__ import annotations

import json
import sys

import pytest

from clients.kubernetes import ApiError
from common import paths
from delivery.cli import main
from delivery.releases import stack_editor
from delivery.releases.stack_editor import StackEditor
from delivery.stacks import stack_file
from delivery.trials import watch
from delivery.trials.pods import Pods
from delivery.trials.verdict import WatchOutcome
from infra.promotion.deployed import DeployedReleases, parse
from tests.canaries import counters
from tests.releases import MARKDOWN, STACK_FILE, TODAY, approved, outputs, released
from tests.tiers import tier_of

GOOD = {"answers": [100.0, 200.0] * 200}
BAD = {"answers": [300.0, 600.0] * 200}
BLOCK = released(3, 4, canary={"version": 4, "percent": 50})


def metrics(**values):
    """The metrics of a service in Prometheus' text format."""
    labels = {"requests_total": "code", "request_seconds_bucket": "le", "answers_total": "at_least"}
    lines = ['modelstack_started_seconds{version="3"} 1.0']
    for (name, label), value in counters(**values).items():
        series = f'{labels[name]}="{label}",' if label else ""
        lines.append(f'modelstack_{name}{{{series}version="3"}} {value}')
    return "\n".join(lines)


class FakeCluster:
    """A cluster with one pod of each variant. The first reading of each pod has no requests, all later ones have `values`."""

    def __init__(self, values):
        self.values, self.readings, self.status, self.recorded, self.reason = values, 0, {}, {}, ""

    def items(self, path, params):
        assert path == "/api/v1/namespaces/serving/pods"
        selector = dict(label.removeprefix("modelstack.dev/").split("=") for label in params["labelSelector"].split(","))
        version = {"stable": "3", "canary": "4", "shadow": "4"}.get(selector["role"])
        assert selector["workload"] == "markdown"
        if selector["version"] != version:
            return []
        name = selector["role"]
        return [{"metadata": {"name": name, "uid": f"uid-{name}"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}}]

    def get_from_pod(self, namespace, pod, port, path):
        if status := self.status.get(pod):
            raise ApiError(status, "no", self.reason)
        if (port, path) == (6001, "/recorded"):
            return json.dumps(self.recorded.get(pod, []))
        assert (port, path) == (6000, "/metrics")
        self.readings += 1
        return metrics(**self.values[pod]) if self.readings > len(self.values) else metrics()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Runs commands in a checkout, with a stage that runs the releases of its stack file."""

    class World:
        file = tmp_path / "Pulumi.stage.yaml"

        def deploy(self, block, running=None, **values):
            """Writes releases to the stack file. Stage runs these releases, or `running`. `values` are those of the pods."""
            self.file.write_text(stack_file.with_releases(STACK_FILE, "markdown", block))
            here = outputs(running or block)
            here["releases"]["markdown"]["canary"] = (running or block).get("canary")
            monkeypatch.setattr(stack_editor, "deployed_in", lambda stack: parse(here) if stack == "stage" else {})
            self.cluster = FakeCluster({"stable": GOOD} | values)
            variant_pods = Pods(cluster=self.cluster, namespace="serving", workload="markdown")
            monkeypatch.setattr(Pods, "from_environment", lambda environment, workload: variant_pods)

        def run(self, *args):
            monkeypatch.setattr(sys, "argv", ["modelstack", *args])
            with pytest.raises(SystemExit) as exited:
                main.main()
            return exited.value.code

        def block(self):
            return stack_file.releases(self.file.read_text())["markdown"]

    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(watch, "Environment", lambda tier: None)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: None)
    times = iter(range(0, 100_000, 20))
    monkeypatch.setattr(watch.time, "monotonic", lambda: float(next(times)))
    monkeypatch.setattr(main.signal, "signal", lambda *args: None)
    return World()


WATCH = ("canary", "markdown", "--stack", "stage", "--watch")


def test_a_canary_that_passes_becomes_stable_and_the_old_version_stays_for_a_rollback(world, capsys):
    world.deploy(BLOCK, canary=GOOD)
    assert world.run(*WATCH) == 0
    assert world.block() == released(4, 3), "version 3 stays in the stack file"
    printed = capsys.readouterr()
    assert "Verdict: passed after 5:00 min: the canary meets all rules." in printed.out
    assert "drift <= 0.25" in printed.out
    assert "+      stable: 4" in printed.out
    assert 'Next: eval "$(modelstack env)" && pulumi up --stack stage' in printed.out
    assert "[   20 s of 300 s] stable: requests 0" in printed.err, "without a terminal, progress is shown as lines"


def test_a_canary_that_fails_is_removed_and_the_exit_code_is_3(world, capsys):
    world.deploy(BLOCK, canary=BAD)
    assert world.run(*WATCH) == 3
    assert world.block() == released(3, 4)
    printed = capsys.readouterr().out
    assert "Verdict: failed" in printed
    assert "above 0.25, the predictions differ a lot" in printed
    assert "-      canary:" in printed


def test_with_too_few_requests_nothing_is_changed_and_the_exit_code_is_4(world, capsys):
    world.deploy(BLOCK, canary={"answers": [100.0] * 7})
    assert world.run(*WATCH) == 4
    assert world.block() == BLOCK
    printed = capsys.readouterr().out
    why = "only 7 requests reached the canary version, at least 300 are required"
    assert f"Verdict: undecided after 5:00 min: {why}." in printed
    assert "Next: watch the canary longer" in printed
    world.deploy(BLOCK, canary={"answers": [100.0, 200.0] * 4})
    assert world.run(*WATCH, "--min-requests", "5", "--seconds", "30") == 0


def test_with_dry_run_nothing_is_written(world, capsys):
    world.deploy(BLOCK, canary=GOOD)
    assert world.run(*WATCH, "--dry-run") == 0
    assert world.block() == BLOCK
    assert "Nothing was written." in capsys.readouterr().out


@pytest.mark.parametrize(("canary", "verdict", "code"), [(GOOD, "passed", 0), (BAD, "failed", 3), ({}, "undecided", 4)])
def test_json_output_is_one_object_with_verdict_and_edit(world, capsys, canary, verdict, code):
    world.deploy(BLOCK, canary=canary)
    assert world.run(*WATCH, "--json") == code
    payload = json.loads(capsys.readouterr().out)
    assert (payload["verdict"], payload["changed"], payload["written"]) == (verdict, code != 4, code != 4)
    assert {finding["rule"]: finding["passed"] for finding in payload["findings"]}["failures <= 0.01"] is (code != 4)
    assert payload["figures"]["stable"]["requests"] == 400
    shared = {"stack", "workload", "changed", "diff", "written", "applied", "next"}
    assert shared <= set(payload), "the answer has the same keys for every verdict"


def test_a_pod_that_does_not_answer_does_not_stop_the_watch(world):
    world.deploy(BLOCK, canary=GOOD)
    world.cluster.status["canary"] = 503
    assert world.run(*WATCH) == 4


def test_a_user_without_access_to_pods_gets_an_error_that_names_the_permission(world, capsys):
    world.deploy(BLOCK, canary=GOOD)
    world.cluster.status["canary"], world.cluster.reason = 403, "Forbidden"
    assert world.run(*WATCH) == 1
    assert "pods/proxy" in capsys.readouterr().err


def test_a_403_that_does_not_come_from_the_api_server_is_not_a_missing_permission(world, capsys):
    world.deploy(BLOCK, canary=GOOD)
    world.cluster.status["canary"] = 403
    assert world.run(*WATCH) == 4, "after a pod has ended, another pod or a proxy may answer at its address"
    assert "pods/proxy" not in capsys.readouterr().err


NOTHING_TO_WATCH = {
    "no canary": (released(3, 4), None, "There is no canary of markdown in stage"),
    "a canary that does not run yet": (BLOCK, released(3, 4), "stage does not run the canary of its stack file yet"),
    "a share that is not deployed yet": (
        BLOCK,
        BLOCK | {"canary": {"version": 4, "percent": 10}},
        "a canary of version 4 on 50 %",
    ),
    "a canary without requests": (BLOCK | {"canary": {"version": 4, "percent": 0}}, None, "the canary receives 0 %"),
    "a canary with all requests": (BLOCK | {"canary": {"version": 4, "percent": 100}}, None, "the canary receives 100 %"),
}


@pytest.mark.parametrize(("block", "running", "words"), NOTHING_TO_WATCH.values(), ids=NOTHING_TO_WATCH)
def test_the_command_refuses_to_watch(world, capsys, block, running, words):
    world.deploy(block, running, canary=GOOD)
    assert world.run(*WATCH) == 1
    assert words in capsys.readouterr().err
    assert world.block() == block


def test_releases_that_somebody_changes_during_the_watch_are_not_edited(world, capsys, monkeypatch):
    world.deploy(BLOCK, canary=GOOD)
    changed = BLOCK | {"canary": {"version": 4, "percent": 10}}
    text = stack_file.with_releases(STACK_FILE, "markdown", changed)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: world.file.write_text(text))
    assert world.run(*WATCH) == 1
    assert "were changed while the canary was watched" in capsys.readouterr().err
    assert world.block() == changed


def test_a_canary_that_does_not_meet_the_requirements_of_the_environment_does_not_become_stable(world, capsys):
    block = released(3, 4, canary={"version": 4, "percent": 50})
    block["versions"][1]["evidence"]["metrics"]["wape"] = 0.9
    world.deploy(block, canary=GOOD)
    assert world.run(*WATCH) == 1
    assert "does not pass the gate" in capsys.readouterr().err
    assert world.block() == block


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((*WATCH, "--traffic", "0"), "--traffic cannot be used with --watch"),
        ((*WATCH, "--version", "4", "--abort"), "--version, --abort cannot be used with --watch"),
        (("canary", "markdown", "--stack", "stage", "--traffic", "5", "--seconds", "9"), "--seconds only works with --watch"),
        (("shadow", "markdown", "--stack", "stage", "--compare", "--abort"), "--abort cannot be used with --compare"),
    ],
)
def test_options_that_exclude_each_other_are_refused(world, capsys, args, words):
    world.deploy(BLOCK)
    assert world.run(*args) == 2
    assert words in " ".join(capsys.readouterr().err.split())


COMPARE = ("shadow", "markdown", "--stack", "stage", "--compare")


def recorded(*values):
    """The answers that a service has recorded, one row each."""
    return [{"request": f"{number:032x}", "at": 1.0, "rows": 1, "values": [value]} for number, value in enumerate(values)]


def test_a_shadow_is_compared_on_the_requests_that_both_versions_answered(world, capsys):
    world.deploy(released(3, 4, shadow=4), shadow={**GOOD, "failures": 2})
    world.cluster.recorded = {"stable": recorded(100.0, 200.0, 300.0), "shadow": recorded(100.0, 150.0)}
    assert world.run(*COMPARE) == 0
    printed = capsys.readouterr().out
    assert "2 requests answered by both versions, 2 rows" in printed
    assert "difference per row: 12.50% on average, 25.0% at most" in printed
    assert "rows that differ by more than 10%: 50.0%" in printed
    assert world.run(*COMPARE, "--json") == 0
    payload = json.loads(capsys.readouterr().out)
    assert (payload["requests"], payload["largest_difference"], payload["versions"]) == (2, 0.25, {"stable": 3, "shadow": 4})
    assert payload["figures"]["shadow"]["failures"] == 2


def test_a_comparison_without_a_shadow_or_without_a_common_request_is_an_error(world, capsys):
    world.deploy(released(3, 4))
    assert world.run(*COMPARE) == 1
    assert "There is no shadow of markdown in stage." in capsys.readouterr().err
    world.deploy(released(3, 4, shadow=4), shadow=GOOD)
    world.cluster.recorded = {"stable": recorded(100.0)}
    assert world.run(*COMPARE) == 1
    printed = capsys.readouterr().err
    assert "No request has been answered by both versions yet." in printed
    assert "stable version 3: 1 answers, shadow version 4: 0 answers" in printed


def test_a_canary_of_prod_keeps_its_approval_when_it_becomes_stable(world):
    block = approved("prod", BLOCK)
    file = world.file.with_name("Pulumi.prod.yaml")
    file.write_text(stack_file.with_releases(STACK_FILE, "markdown", block))
    here = outputs(block)
    here["releases"]["markdown"]["proven"] = [release["image"] for release in block["versions"]]
    text, deployed = file.read_text(), DeployedReleases(here=parse(here))
    editor = StackEditor(tier=tier_of("prod"), file=file, text=text, workload=MARKDOWN, deployed=deployed, today=TODAY)
    edit = watch.Trial(stable=3, canary=4, percent=50).conclude(editor, WatchOutcome.passed)
    after = stack_file.releases(edit.after)["markdown"]
    assert after == approved("prod", released(4, 3))
