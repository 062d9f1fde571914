"""The way of a model through three environments, which share the embedded cluster: dev is up, and those of the tour are made.

Every step is a command that a user types. What is refused is refused for what is really there.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from mlflow import artifacts

from common import paths
from delivery.environments.environment import Environment
from delivery.releases import approval_keys, edits
from delivery.stacks import stack_file
from infra.settings.tour import PROD, STAGE
from tests.e2e.conftest import PREDICTIONS, User
from tests.e2e.load import Load

pytestmark = pytest.mark.timeout(900)

PORTS = {STAGE: 30011, PROD: 30021}
"""The node ports of markdown that `modelstack tour` chooses, by stack."""
APPROVER = approval_keys.TOUR_NAME


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=paths.CHECKOUT, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture(scope="module")
def environments(user):
    """Stage and prod of the tour, up and without a release; gone afterwards, and every file as it was."""
    before = git("status", "--porcelain"), git("diff")
    user.modelstack("tour")
    user.modelstack("key", "--tour", "--workload", "markdown")
    try:
        for stack in PORTS:
            said = user.modelstack("up", "--stack", stack)
            assert "no version is released yet" in said, "an environment can be there before its first model"
        yield {stack: User(stack) for stack in PORTS}
    finally:
        for stack in reversed(PORTS):
            user.modelstack("down", "--stack", stack, code=0)
    assert [file for file in map(stack_file.path_of, PORTS) if file.exists()] == [], "`down` deletes what `tour` has written"
    assert (git("status", "--porcelain"), git("diff")) == before, "the tour changes no file that git knows"


@pytest.fixture(scope="module")
def models():
    """Dev's model registry."""
    registry = Environment.open("dev").model_registry
    with registry.session():  # MLflow's library reads the password from variables
        yield registry.client


@pytest.fixture(scope="module")
def second(user, environments, models):
    """Another version of the same run, registered and released in dev."""
    first, before = user.release()["version"], user.stack_file.read_text()
    (found,) = [each for each in models.search_model_versions("name='markdown'") if int(each.version) == first]
    made = int(
        models.create_model_version(
            "markdown", found.source, run_id=found.run_id, model_id=found.source.removeprefix("models:/")
        ).version
    )
    user.modelstack("release", "markdown", "--version", str(made))
    yield made
    stack_file.write(user.stack_file, before)


def answering(stack, request):
    """Returns the version that answers. Waits for a node port that is so new that kube-proxy does not know it yet."""
    deadline = time.monotonic() + 10
    with httpx.Client(base_url=f"http://localhost:{PORTS[stack]}", timeout=30, trust_env=False) as client:
        while True:
            try:
                answer = client.post(PREDICTIONS, json=request).raise_for_status().json()
                return int(answer["meta"]["tags"]["version"])
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def changed(said):
    return [line for line in said.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]


def test_a_release_comes_to_stage_and_answers_there(user, environments, held_out):
    first = user.release()
    said = user.modelstack("promote", "markdown", "--to", STAGE, "--apply")
    assert f"+      stable: {first['version']}" in said
    assert f"to the MLflow of {STAGE}; its version number there is 1" in said
    assert "View run" not in said, "MLflow's library prints where a program may read"
    assert answering(STAGE, held_out["request"]) == first["version"]
    assert environments[STAGE].release() == first, "the very same release"
    assert "nothing changes" in user.modelstack("promote", "markdown", "--to", STAGE)


def test_its_model_and_evidence_are_in_stages_own_registry(user, environments):
    first, tracking = user.release(), environments[STAGE].outputs()["tracking"]
    with httpx.Client(
        base_url=tracking["url"], auth=(tracking["username"], tracking["password"]), timeout=30, trust_env=False
    ) as client:
        found = client.get("/api/2.0/mlflow/model-versions/search").raise_for_status().json()["model_versions"]
        (version,) = found
        run = client.get("/api/2.0/mlflow/runs/get", params={"run_id": version["run_id"]}).raise_for_status().json()["run"]
        path = {"path": "backtest/report.json", "run_uuid": version["run_id"]}
        report = client.get("/get-artifact", params=path).raise_for_status().content
    origin = {tag["key"]: tag["value"] for tag in version["tags"]}["modelstack.origin"]
    assert (version["name"], origin) == ("markdown", f"{first['run']}/{first['version']}"), (
        "brought once, though promoted twice"
    )
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert f"sha256:{hashlib.sha256(report).hexdigest()}" == tags["modelstack.report"] == first["evidence"]["report"]


def test_prod_refuses_it_until_somebody_else_approves(user, environments, held_out, tmp_path):
    first, prod = user.release(), environments[PROD]
    said = user.modelstack("promote", "markdown", "--to", PROD)
    assert f"modelstack approve markdown --version {first['version']} --stack {PROD}" in said
    refused = prod.pulumi("preview", code=None)
    assert f"which is not approved for {PROD}" in refused
    assert "markdown-stable-deployment" not in refused, "nothing is even planned"
    stranger = tmp_path / "stranger.json"
    user.modelstack("key", "--name", "stranger@example.com", "--key", str(stranger))
    approve = ("approve", "markdown", "--version", str(first["version"]), "--stack", PROD)
    assert "not among the approvers" in user.modelstack(*approve, "--key", str(stranger), code=1)
    user.modelstack(*approve, "--apply")
    assert answering(PROD, held_out["request"]) == first["version"]
    (status,) = json.loads(user.modelstack("status", "--stack", PROD, "--json"))
    (stable,) = status["variants"]
    assert (stable["traffic"], stable["gate"], stable["approved_by"]) == ("100 %", "passed", APPROVER)


def test_evidence_that_was_invented_is_refused(user, environments):
    before, file = user.stack_file.read_text(), environments[STAGE].stack_file
    stage = file.read_text()
    wape = user.release()["evidence"]["metrics"]["wape"]
    stack_file.write(user.stack_file, before.replace(f"wape: {wape}", "wape: 0.1"))
    try:
        said = user.modelstack("promote", "markdown", "--to", STAGE, code=1)
    finally:
        stack_file.write(user.stack_file, before)
    assert "does not match what its run recorded" in said
    assert file.read_text() == stage


def test_a_bad_model_stays_in_dev(user, environments, models, tmp_path):
    """Its evidence is honest, and does not pass the gate."""
    good, before = user.release(), user.stack_file.read_text()
    experiment = models.get_experiment_by_name("markdown").experiment_id
    run = models.create_run(experiment)
    report = json.loads(Environment.open("dev").model_registry.artifact(good["run"], "backtest/report.json"))
    report["metrics"]["wape"] = 0.7
    content = json.dumps(report).encode()
    (tmp_path / "report.json").write_bytes(content)
    models.log_artifact(run.info.run_id, str(tmp_path / "report.json"), "backtest")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    tags = {"data": good["data"], "revision": good["revision"], "trainer": good["trainer"], "report": digest}
    for name, value in tags.items():
        models.set_tag(run.info.run_id, f"modelstack.{name}", value)
    (found,) = [each for each in models.search_model_versions("name='markdown'") if int(each.version) == good["version"]]
    bad = models.create_model_version(
        "markdown", found.source, run_id=run.info.run_id, model_id=found.source.removeprefix("models:/")
    )
    try:
        user.modelstack("release", "markdown", "--version", str(bad.version))
        said = user.modelstack("promote", "markdown", "--to", STAGE, code=1)
    finally:
        stack_file.write(user.stack_file, before)
        models.delete_model_version("markdown", bad.version)
    assert "does not pass the gate" in said
    assert "found 0.7, bound 0.42" in said


@pytest.fixture
def drifting(user, second, models, tmp_path):
    """A version with the evidence of the first one that says three times as much: in dev for as long as a test lasts."""
    good, before = user.release(), user.stack_file.read_text()
    source = Path(
        artifacts.download_artifacts(f"models:/markdown/{second}", dst_path=str(tmp_path), tracking_uri=models.tracking_uri)
    )
    (code,) = source.rglob("serving.py")
    code.write_text(code.read_text().replace("    planned = units", "    units = 3 * units\n    planned = units"))
    assert "3 * units" in code.read_text()
    run = models.create_run(models.get_experiment_by_name("markdown").experiment_id)
    models.log_artifacts(run.info.run_id, str(source), "model")
    report = tmp_path / "report.json"
    report.write_bytes(Environment.open("dev").model_registry.artifact(good["run"], "backtest/report.json"))
    models.log_artifact(run.info.run_id, str(report), "backtest")
    tags = {name: good[name] for name in ("data", "revision", "trainer")} | {"report": good["evidence"]["report"]}
    for name, value in tags.items():
        models.set_tag(run.info.run_id, f"modelstack.{name}", value)
    made = models.create_model_version("markdown", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    user.modelstack("release", "markdown", "--version", str(made.version))
    yield int(made.version)
    stack_file.write(user.stack_file, before)
    models.delete_model_version("markdown", made.version)


def watch(stack):
    return ("canary", "markdown", "--stack", stack, "--watch", "--seconds", "12", "--min-requests", "50")


def test_a_shadow_is_compared_and_a_canary_that_drifts_is_removed(user, environments, second, drifting, held_out):
    stage, data = environments[STAGE], held_out["request"]["data"]
    user.modelstack("shadow", "markdown", "--stack", STAGE, "--version", str(second))
    user.modelstack("canary", "markdown", "--stack", STAGE, "--version", str(drifting), "--traffic", "50", "--apply")
    with Load(f"http://localhost:{PORTS[STAGE]}", {"data": {**data, "ndarray": data["ndarray"][:5]}}) as load:
        said = user.modelstack(*watch(STAGE), code=3)
    assert "drift <= 0.25" in said
    assert changed(said) == ["-      canary:", f"-        version: {drifting}", "-        percent: 50"]
    assert stage.releases()["shadow"] == second
    assert load.failures == [], f"of {len(load.versions)} requests"

    compared = json.loads(user.modelstack("shadow", "markdown", "--stack", STAGE, "--compare", "--json"))
    assert compared["requests"] > 20, f"of those that the stable version answered: {compared}"
    assert (compared["largest_difference"], compared["far"]) == (0, 0), "it is the same model"
    assert compared["figures"]["shadow"]["requests"] > compared["requests"], "it got those of the canary too"


def test_a_canary_is_tried_aborted_promoted_and_rolled_back_without_a_lost_request(user, environments, second, held_out):
    first = min(edits.versions(environments[PROD].releases()))
    request = {"data": {**held_out["request"]["data"], "ndarray": held_out["request"]["data"]["ndarray"][:1]}}
    user.modelstack("promote", "markdown", "--to", STAGE, "--version", str(second), "--apply")
    approve = ("approve", "markdown", "--version", str(second), "--stack", PROD)
    with Load(f"http://localhost:{PORTS[PROD]}", request) as load:
        user.modelstack("canary", "markdown", "--stack", PROD, "--version", str(second), "--traffic", "50")
        user.modelstack(*approve, "--apply")
        # A router that is leaving answers on the connections it has for some seconds more.
        until(lambda: {first, second} == set(load.versions[-60:]), "answers of both")

        trying = environments[PROD].stack_file.read_text()
        told = json.loads(user.modelstack(*watch(PROD), "--json").splitlines()[-1])
        assert (told["verdict"], told["written"]) == ("passed", True), told
        assert environments[PROD].releases()["stable"] == second
        stack_file.write(environments[PROD].stack_file, trying)

        said = user.modelstack("canary", "markdown", "--stack", PROD, "--traffic", "10")
        assert changed(said) == ["-        percent: 50", "+        percent: 10"]

        user.modelstack("canary", "markdown", "--stack", PROD, "--abort", "--apply")
        until(lambda: {first} == set(load.versions[-60:]), "answers of the stable version alone")

        user.modelstack("promote", "markdown", "--to", PROD, "--version", str(second), "--apply")
        # Its router asks the old pods on the connections it has, as long as they take to leave.
        until(lambda: answering(PROD, request) == second, "the new version's answer", seconds=30)

        said = user.modelstack("rollback", "markdown", "--stack", PROD, "--apply")
        assert changed(said) == [f"-      stable: {second}", f"+      stable: {first}"]
        until(lambda: answering(PROD, request) == first, "the old version's answer", seconds=30)
    assert load.failures == [], f"of {len(load.versions)} requests"


def test_what_answered_when_can_be_told(user, environments, second):
    found = json.loads(user.modelstack("history", "markdown", "--stack", PROD, "--json"))
    versions = [entry["stable"] for entry in found]
    assert versions[0] < versions[1] == second, "back to the first, after the second"
    assert any(entry["canary"].startswith(f"{second} ") for entry in found)
    assert found[-1]["approved_by"] == APPROVER
    at = found[1]["since"]
    (then,) = json.loads(user.modelstack("history", "markdown", "--stack", PROD, "--at", at, "--json"))
    assert then["stable"] == second


def test_the_evidence_of_what_is_released_can_be_looked_at_again(user, environments):
    assert "matches its run" in user.modelstack("verify", "markdown", "--stack", PROD)


def test_a_reviewer_gets_a_page_and_lines_for_the_pull_request(user, environments, tmp_path):
    said = user.modelstack("report", "markdown", "--stack", PROD, "--out", str(tmp_path), "--preview")
    assert "gate passed" in said
    page = (tmp_path / "index.html").read_text()
    assert APPROVER in page
    assert user.release()["evidence"]["report"][:19] in page
    assert (tmp_path / "report.md").read_text().startswith("**markdown v")


def test_dev_is_not_taken_down_under_those_that_live_in_its_cluster(user, environments, held_out):
    said = user.modelstack("down", "--stack", user.stack, code=1)
    assert "modelstack down --stack" in said
    assert answering(STAGE, held_out["request"])


def until(what, whatever, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"{whatever} within {seconds} s"
        time.sleep(0.1)
