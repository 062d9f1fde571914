"""`modelstack canary --watch` and `shadow --compare`, from the command line to the stack file; the cluster alone is a fake."""

from __future__ import annotations

import json
import sys

import pytest

from clients.kubernetes import ApiError
from common import paths
from components.serving import variant
from delivery.cli import main
from delivery.releases import stack_editor
from delivery.releases.stack_editor import StackEditor
from delivery.stacks import stack_file
from delivery.trials import pods, watch
from delivery.trials.pods import Pods
from delivery.trials.verdict import WatchOutcome
from infra.promotion.deployed import DeployedReleases, parse
from tests.canaries import counters
from tests.releases import MARKDOWN, STACK_FILE, TODAY, approved, outputs, released

GOOD = {"answers": [100.0, 200.0] * 200}
BAD = {"answers": [300.0, 600.0] * 200}
BLOCK = released(3, 4, canary={"version": 4, "percent": 50})


def metrics(**told):
    """What a service shows, as Prometheus reads it."""
    labels = {"requests_total": "code", "request_seconds_bucket": "le", "answers_total": "at_least"}
    lines = ['modelstack_started_seconds{version="3"} 1.0']
    for (name, label), value in counters(**told).items():
        mine = f'{labels[name]}="{label}",' if label else ""
        lines.append(f'modelstack_{name}{{{mine}version="3"}} {value}')
    return "\n".join(lines)


class Cluster:
    """One pod of each variant. Figures grow from one look to the next."""

    def __init__(self, told):
        self.told, self.asked, self.status, self.recorded, self.reason = told, 0, {}, {}, ""

    def items(self, path, params):
        assert path == "/api/v1/namespaces/serving/pods"
        wanted = dict(label.removeprefix("modelstack.dev/").split("=") for label in params["labelSelector"].split(","))
        found = {"stable": "3", "canary": "4", "shadow": "4"}.get(wanted["role"])
        assert wanted["workload"] == "markdown"
        if wanted["version"] != found:
            return []
        name = wanted["role"]
        return [{"metadata": {"name": name, "uid": f"uid-{name}"}, "status": {"phase": "Running", "podIP": "10.0.0.1"}}]

    def get_from_pod(self, namespace, pod, port, path):
        if status := self.status.get(pod):
            raise ApiError(status, "no", self.reason)
        if (port, path) == (variant.RECORDED_PORT, "/recorded"):
            return json.dumps(self.recorded.get(pod, []))
        assert (port, path) == (variant.METRICS_PORT, "/metrics")
        self.asked += 1
        # The first look at each pod finds nothing done yet.
        return metrics(**self.told[pod]) if self.asked > len(self.told) else metrics()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Runs a command in a checkout where stage runs what its stack file says."""

    class World:
        file = tmp_path / "Pulumi.stage.yaml"

        def has(self, block, running=None, **told):
            self.file.write_text(stack_file.with_releases(STACK_FILE, "markdown", block))
            here = outputs(running or block)
            here["releases"]["markdown"]["canary"] = (running or block).get("canary")
            monkeypatch.setattr(stack_editor, "deployed_in", lambda stack: parse(here) if stack == "stage" else {})
            self.cluster = Cluster({"stable": GOOD} | told)
            found = Pods(cluster=self.cluster, namespace="serving", workload="markdown")
            monkeypatch.setattr(Pods, "of", lambda access, workload: found)

        def run(self, *args):
            monkeypatch.setattr(sys, "argv", ["modelstack", *args])
            with pytest.raises(SystemExit) as ended:
                main.main()
            return ended.value.code

        def block(self):
            return stack_file.releases(self.file.read_text())["markdown"]

    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(watch.Environment, "open", lambda name: None)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: None)
    times = iter(range(0, 100_000, 20))
    monkeypatch.setattr(watch.time, "monotonic", lambda: float(next(times)))
    monkeypatch.setattr(main.signal, "signal", lambda *args: None)
    return World()


WATCH = ("canary", "markdown", "--stack", "stage", "--watch")


def test_a_canary_that_passes_becomes_stable_and_what_was_can_be_gone_back_to(world, capsys):
    world.has(BLOCK, canary=GOOD)
    assert world.run(*WATCH) == 0
    assert world.block() == released(4, 3), "version 3 is kept"
    said = capsys.readouterr()
    assert "Verdict: passed after 5:00 min: it keeps to all rules." in said.out
    assert "drift <= 0.25" in said.out
    assert "+      stable: 4" in said.out
    assert 'Next: eval "$(modelstack env)" && pulumi up --stack stage' in said.out
    assert "[   20 s of 300 s] stable: requests 0" in said.err, "a line now and then where there is no terminal"


def test_a_canary_that_fails_is_removed_and_the_exit_code_says_so(world, capsys):
    world.has(BLOCK, canary=BAD)
    assert world.run(*WATCH) == 3
    assert world.block() == released(3, 4)
    said = capsys.readouterr().out
    assert "Verdict: failed" in said
    assert "above 0.25 much has changed" in said
    assert "-      canary:" in said


def test_too_few_requests_change_nothing_and_the_exit_code_says_so(world, capsys):
    world.has(BLOCK, canary={"answers": [100.0] * 7})
    assert world.run(*WATCH) == 4
    assert world.block() == BLOCK
    said = capsys.readouterr().out
    assert "Verdict: undecided after 5:00 min: 7 of at least 300 requests reached the canary version." in said
    assert "Next: watch it longer" in said
    world.has(BLOCK, canary={"answers": [100.0, 200.0] * 4})
    assert world.run(*WATCH, "--min-requests", "5", "--seconds", "30") == 0


def test_with_dry_run_nothing_is_written(world, capsys):
    world.has(BLOCK, canary=GOOD)
    assert world.run(*WATCH, "--dry-run") == 0
    assert world.block() == BLOCK
    assert "Nothing was written." in capsys.readouterr().out


@pytest.mark.parametrize(("canary", "verdict", "code"), [(GOOD, "passed", 0), (BAD, "failed", 3), ({}, "undecided", 4)])
def test_a_program_gets_one_object_with_all_of_it(world, capsys, canary, verdict, code):
    world.has(BLOCK, canary=canary)
    assert world.run(*WATCH, "--json") == code
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["changed"], told["written"]) == (verdict, code != 4, code != 4)
    assert {finding["rule"]: finding["passed"] for finding in told["findings"]}["failures <= 0.01"] is (code != 4)
    assert told["figures"]["stable"]["requests"] == 400


def test_a_pod_that_does_not_answer_is_no_reason_to_give_up(world):
    world.has(BLOCK, canary=GOOD)
    world.cluster.status["canary"] = 503
    assert world.run(*WATCH) == 4


def test_who_may_not_ask_pods_is_told_what_is_missing(world, capsys):
    world.has(BLOCK, canary=GOOD)
    world.cluster.status["canary"], world.cluster.reason = 403, "Forbidden"
    assert world.run(*WATCH) == 1
    assert "pods/proxy" in capsys.readouterr().err


def test_a_403_that_is_not_the_api_servers_is_no_matter_of_roles(world, capsys):
    world.has(BLOCK, canary=GOOD)
    world.cluster.status["canary"] = 403
    assert world.run(*WATCH) == 4, "somebody else answered for a pod that had ended"
    assert "pods/proxy" not in capsys.readouterr().err


NOTHING_TO_WATCH = {
    "no canary": (released(3, 4), None, "There is no canary of markdown in stage"),
    "a canary that does not run yet": (BLOCK, released(3, 4), "What stage runs is not what its stack file says"),
    "another share than runs": (BLOCK, BLOCK | {"canary": {"version": 4, "percent": 10}}, "a canary of version 4 on 50 %"),
    "a canary without requests": (BLOCK | {"canary": {"version": 4, "percent": 0}}, None, "the canary gets 0 %"),
    "a canary with all requests": (BLOCK | {"canary": {"version": 4, "percent": 100}}, None, "the canary gets 100 %"),
}


@pytest.mark.parametrize(("block", "running", "words"), NOTHING_TO_WATCH.values(), ids=NOTHING_TO_WATCH)
def test_there_is_nothing_to_watch_with(world, capsys, block, running, words):
    world.has(block, running, canary=GOOD)
    assert world.run(*WATCH) == 1
    assert words in capsys.readouterr().err
    assert world.block() == block


def test_releases_that_were_changed_meanwhile_stay_as_they_are(world, capsys, monkeypatch):
    world.has(BLOCK, canary=GOOD)
    changed = BLOCK | {"canary": {"version": 4, "percent": 10}}
    text = stack_file.with_releases(STACK_FILE, "markdown", changed)
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: world.file.write_text(text))
    assert world.run(*WATCH) == 1
    assert "were changed while the canary was watched" in capsys.readouterr().err
    assert world.block() == changed


def test_a_canary_that_the_environment_may_not_make_stable_does_not_become_it(world, capsys):
    block = released(3, 4, canary={"version": 4, "percent": 50})
    block["versions"][1]["evidence"]["metrics"]["wape"] = 0.9
    world.has(block, canary=GOOD)
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
def test_options_that_mean_nothing_together_are_refused(world, capsys, args, words):
    world.has(BLOCK)
    assert world.run(*args) == 2
    assert words in " ".join(capsys.readouterr().err.split())


COMPARE = ("shadow", "markdown", "--stack", "stage", "--compare")


def kept(*values):
    return [{"request": f"{number:032x}", "at": 1.0, "rows": 1, "values": [value]} for number, value in enumerate(values)]


def test_a_shadow_is_compared_by_the_requests_that_both_answered(world, capsys):
    world.has(released(3, 4, shadow=4), shadow={**GOOD, "failures": 2})
    world.cluster.recorded = {"stable": kept(100.0, 200.0, 300.0), "shadow": kept(100.0, 150.0)}
    assert world.run(*COMPARE) == 0
    said = capsys.readouterr().out
    assert "2 requests answered by both, 2 rows" in said
    assert "difference of a row: 12.50% in the mean, 25.0% at most" in said
    assert "rows that differ by more than 10%: 50.0%" in said
    assert world.run(*COMPARE, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["requests"], told["largest_difference"], told["versions"]) == (2, 0.25, {"stable": 3, "shadow": 4})
    assert told["figures"]["shadow"]["failures"] == 2


def test_without_a_shadow_or_a_common_request_it_says_so(world, capsys):
    world.has(released(3, 4))
    assert world.run(*COMPARE) == 1
    assert "There is no shadow of markdown in stage." in capsys.readouterr().err
    world.has(released(3, 4, shadow=4), shadow=GOOD)
    world.cluster.recorded = {"stable": kept(100.0)}
    assert world.run(*COMPARE) == 1
    said = capsys.readouterr().err
    assert "There is no request yet that both have answered." in said
    assert "stable version 3: 1 answers, shadow version 4: 0 answers" in said


def test_a_canary_of_prod_keeps_its_approval_when_it_becomes_stable(world):
    block = approved("prod", BLOCK)
    file = world.file.with_name("Pulumi.prod.yaml")
    file.write_text(stack_file.with_releases(STACK_FILE, "markdown", block))
    here = outputs(block)
    here["releases"]["markdown"]["proven"] = [made["image"] for made in block["versions"]]
    text, deployed = file.read_text(), DeployedReleases(here=parse(here))
    editor = StackEditor(stack="prod", file=file, text=text, workload=MARKDOWN, deployed=deployed, today=TODAY)
    ended = watch.Trial(stable=3, canary=4, percent=50).ended(editor, WatchOutcome.passed)
    after = stack_file.releases(ended.after)["markdown"]
    assert after == approved("prod", released(4, 3))


def test_ports_are_those_of_the_variants():
    assert (pods.METRICS_PORT, pods.RECORDED_PORT) == (variant.METRICS_PORT, variant.RECORDED_PORT)
