"""`modelstack status` as a command: environments that are up, that are not, and that cannot be asked."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from clients.kubernetes import ApiError
from common import clock, paths
from common.errors import UserError
from delivery.environments import embedded_node, status
from delivery.environments.environment import Environment
from delivery.stacks import backend, stack_file
from tests.releases import RUN, STACK_FILE, TODAY, image, released
from tests.unit.delivery.environments.test_status import OUTPUTS, deployment

EMBEDDED = """\
config:
  modelstack:cluster: {kind: embedded}
  modelstack:images: {registry: "localhost:5000", base: "localhost:5000/base:bookworm"}
  modelstack:tracking: {nodePort: 30000}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""


class World:
    """Stack files of dev (embedded) and stage (elsewhere), which both release version 3."""

    def __init__(self, folder):
        self.folder, self.stacks, self.node_ready, self.asked = folder, ["dev", "stage"], True, []
        self.deployments, self.refusal = {"dev": [deployment(3)], "stage": [deployment(3)]}, None
        self.write("dev", EMBEDDED)
        self.write("stage", STACK_FILE.replace("host: c.example", "host: c.example, namespacePrefix: stage-"))

    def write(self, stack, text, block=None):
        text = stack_file.with_releases(text, "markdown", block or released(3))
        (self.folder / f"Pulumi.{stack}.yaml").write_text(text)

    def open(self, stack):
        def items(path, params):
            self.asked.append((stack, path, params["labelSelector"]))
            if self.refusal is not None:
                raise self.refusal
            return self.deployments[stack]

        return SimpleNamespace(cluster=SimpleNamespace(items=items), outputs=OUTPUTS)


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(backend, "stacks", lambda: made.stacks)
    monkeypatch.setattr(embedded_node, "is_ready", lambda _config: made.node_ready)
    monkeypatch.setattr(clock, "today", lambda: TODAY)
    monkeypatch.setattr(Environment, "open", made.open)
    return made


def rows(capsys, stack=None):
    status.main(stack, as_json=False)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_one_table_shows_the_variants_of_all_environments(world, capsys):
    title, dev, stage = rows(capsys)
    assert title.startswith("stack workload variant version traffic since (UTC)")
    assert dev.startswith("dev markdown stable 3 100 % 2026-01-02 03:04:05 1/1 passed -")
    assert RUN[:12] in dev
    assert image(3).removeprefix("sha256:")[:12] in dev
    assert "sha256" not in dev
    assert stage.startswith("stage markdown stable 3")


def test_the_namespace_has_the_prefix_of_the_environment_and_only_variants_are_asked_for(world):
    status.main("stage", as_json=True)
    ((stack, path, selector),) = world.asked
    assert (stack, path) == ("stage", "/apis/apps/v1/namespaces/stage-serving/deployments")
    assert selector == "modelstack.dev/workload,modelstack.dev/version", "routers have no version"


def test_json_has_identifiers_in_full(world, capsys):
    status.main("stage", as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["stack"], found["state"], found["tracking"], found["pending"]) == ("stage", "up", "u", [])
    assert (found["variants"][0]["run"], found["variants"][0]["image"]) == (RUN, image(3))


def test_stable_comes_first_and_workloads_are_in_order(world, capsys):
    for role, version in (("canary", 4), ("shadow", 5)):
        made = deployment(version)
        made["metadata"]["labels"]["modelstack.dev/role"] = role
        world.deployments["stage"].insert(0, made)
    status.main("stage", as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert [variant["role"] for variant in found["variants"]] == ["stable", "canary", "shadow"]


def test_an_environment_that_is_not_up_is_named_last_and_no_cluster_is_asked(world, capsys):
    world.stacks = ["stage"]
    *_, first, last = rows(capsys)
    assert [stack for stack, *_ in world.asked] == ["stage"]
    assert first == "dev: not up"
    assert last == "dev: markdown version 3 is in the stack file, but does not run: run `make up`"
    assert status.known_stacks() == ["stage", "dev"], "what exists comes first"


def test_a_node_that_does_not_run_is_not_asked(world, capsys):
    world.node_ready = False
    assert "dev: the node does not run: `make up` starts it" in rows(capsys, "dev")
    assert world.asked == [], "the request would wait for its timeout"


def test_a_node_matters_only_to_an_embedded_cluster(world, capsys):
    world.node_ready = False
    assert rows(capsys, "stage")[1].startswith("stage markdown stable 3")


def test_an_environment_without_releases_is_up(world, capsys):
    (world.folder / "Pulumi.stage.yaml").write_text(STACK_FILE)
    world.deployments["stage"] = []
    assert rows(capsys, "stage") == ["stage: up, no version is released"]


def test_the_others_are_shown_although_one_cluster_does_not_answer(world, capsys):
    world.refusal = UserError("The cluster does not answer.", where="https://c.example")
    lines = rows(capsys)
    assert {"dev: The cluster does not answer.", "stage: The cluster does not answer."} <= set(lines)


@pytest.mark.parametrize("code", [401, 403])
def test_the_others_are_shown_although_one_cluster_refuses_the_user(world, capsys, code):
    world.refusal = ApiError(code, "deployments.apps is forbidden", "Forbidden")
    assert any("forbidden" in line for line in rows(capsys, "stage"))


def test_a_new_release_is_pending_until_the_cluster_runs_it(world, capsys):
    world.write("stage", STACK_FILE, released(4, 3))
    assert rows(capsys, "stage")[-1] == "stage: markdown version 4 is in the stack file, but does not run: run `make up`"
