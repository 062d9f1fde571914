"""The program refuses an environment of another owner before it declares a resource, and writes the owner of its own."""

from __future__ import annotations

from dataclasses import replace

import pulumi
import pytest

from common import outputs
from common.answers import Absent, Found, Unknown
from infra import live_cluster
from tests.harness import LIVE_CLUSTER, Secret, run_stack
from tests.releases import run_released
from tests.stacks.test_policies import STACKS

RESOURCES = "pulumi:pulumi:readStackResourceOutputs"
ID = "urn:pulumi:{0}::modelstack::modelstack:owner:Owner$random:index/randomUuid:RandomUuid::owner-id"
PASSWORD = (
    "urn:pulumi:{0}::modelstack::modelstack:postgres:Postgres$random:index/randomPassword:RandomPassword::postgres-password"
)


def cluster(owner=None, database=None):
    """What the stack's own cluster says; see `live_cluster_of`."""
    answers = {"owner": owner or Absent(), "database": database or Absent()}
    return replace(LIVE_CLUSTER, **answers, owned_by="stack dev of project modelstack in s3://elsewhere")


def state(stack, owner="", *, password=True):
    """A world in which the stack's own state has an owner's id and a password, or not."""
    found = {ID.format(stack): {"outputs": {"result": owner}}} if owner else {}
    found |= {PASSWORD.format(stack): {"outputs": {"result": Secret("p")}}} if password else {}
    asked = []

    def read(args):
        asked.append(args["stackName"])
        return {"name": args["stackName"], "outputs": found}

    return {RESOURCES: read}, asked


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("stack", STACKS)
def test_another_owner_is_refused_in_every_stack_and_in_a_preview_too(stack, preview):
    world, asked = state(stack, "mine")
    with pytest.raises(pulumi.RunError) as refused:
        run_stack(stack, world, replaced={"releases": {}}, live=cluster(Found("other"), Found("uid")), preview=preview)
    assert f"modelstack up --adopt --stack {stack}" in str(refused.value)
    assert "in s3://elsewhere" in str(refused.value)
    assert "where: backend s3://states.example" in str(refused.value), "the backend that was asked"
    assert [name.rpartition("/")[2] for name in asked] == [stack], "its own state is asked, once"


def test_an_empty_state_may_not_take_over_an_environment_that_has_no_owner_yet():
    world, _ = state("dev", password=False)
    with pytest.raises(pulumi.RunError, match="belongs to another owner"):
        run_stack("dev", world, live=cluster(None, Found("uid")))


def test_a_cluster_that_cannot_be_asked_changes_nothing():
    world, _ = state("dev", "mine")
    unknown = Unknown(where="https://c.example", reason="connection refused")
    with pytest.raises(pulumi.RunError, match=r"(?s)cannot be asked.*connection refused"):
        run_stack("dev", world, live=cluster(unknown, unknown))


@pytest.mark.parametrize(
    ("owner", "own", "warned"),
    [(Found("mine"), "mine", 0), (Absent(), "", 1), (Absent(), "mine", 1)],
)
def test_the_owner_itself_may_continue_and_is_told_what_happens_once(owner, own, warned, monkeypatch):
    said = []
    monkeypatch.setattr(pulumi, "warn", said.append)
    world, _ = state("dev", own)
    declared = run_stack("dev", world, live=cluster(owner, Found("uid")))
    assert declared.one("Owner")
    assert len(said) == warned


@pytest.mark.parametrize("stack", STACKS)
def test_the_id_is_in_the_state_in_the_cluster_and_in_the_outputs(stack):
    declared = run_released(stack)
    identifier = declared.one("RandomUuid")
    copy = declared.one("ConfigMap", "owner-copy")
    assert copy.inputs["metadata"]["name"] == live_cluster.OWNER_CONFIG_MAP
    assert copy.inputs["metadata"]["namespace"] == declared.one("Namespace", "tracking-namespace").inputs["metadata"]["name"]
    assert copy.inputs["data"]["id"] == declared.outputs[outputs.OWNER] == f"uuid of {identifier.name}"
    assert copy.inputs["data"]["backend"] == "s3://states.example"
    assert declared.one("Secret", "postgres-secret").inputs["metadata"]["name"] == live_cluster.DATABASE_SECRET
