"""What the Pulumi program asks the cluster before the first resource: with each fault, the answer is unknown and says why."""

from __future__ import annotations

import pytest

from common.answers import Absent, Found, Unknown
from delivery.stacks import stack_file
from infra import live_cluster
from infra.settings import loading
from tests.faults import content
from tests.faults.hurry import hurry
from tests.faults.injector import Fault, Rule
from tests.faults.things import API, thing

STACKS = ("dev", "stage")


def read(stack):
    return live_cluster.read(loading.load(stack_file.path_of(stack)))


@pytest.mark.parametrize("stack", STACKS)
def test_without_a_fault_identity_and_owner_are_found_and_what_is_missing_is_absent(world, stack):
    secret = content.secret_path(stack)
    assert read(stack) == live_cluster.LiveCluster(
        uid=Found(content.CLUSTERS[stack]),
        owner=Found(content.OWNERS[stack]),
        owned_by=f"stack {stack} of project modelstack in s3://states",
        database=Found(f"uid-{secret}"),
        embedded_uid=Absent() if stack == "dev" else Found(content.CLUSTERS["dev"]),
    )
    for path in (content.owner_path(stack), secret):
        del world.clusters[stack].objects[path]
    live = read(stack)
    assert (live.owner, live.owned_by, live.database) == (Absent(), "", Absent())
    asked = {name for name, proxy in world.proxies.items() if proxy.requests}
    assert asked == {thing(API, "dev"), thing(API, stack)}, "an existing cluster may be the embedded one under another name"


@pytest.mark.parametrize("fault", Fault, ids=str)
@pytest.mark.parametrize("stack", STACKS)
def test_a_cluster_that_cannot_be_asked_is_neither_another_one_nor_without_an_owner(world, monkeypatch, stack, fault):
    hurry(monkeypatch, thing(API, stack), fault)
    before = world.snapshot()
    with world.proxies[thing(API, stack)].failing(Rule(fault=fault)):
        live = read(stack)
    for answer in (live.uid, live.owner, live.database):
        assert isinstance(answer, Unknown), answer
        assert world.proxies[thing(API, stack)].address in answer.where
        assert answer.reason
    assert world.snapshot() == before


@pytest.mark.parametrize("fault", Fault, ids=str)
def test_an_embedded_cluster_that_cannot_be_asked_is_not_taken_for_another_one(world, monkeypatch, fault):
    hurry(monkeypatch, thing(API, "dev"), fault)
    with world.proxies[thing(API, "dev")].failing(Rule(fault=fault)):
        live = read("stage")
    assert isinstance(live.embedded_uid, Unknown)
    assert world.proxies[thing(API, "dev")].address in live.embedded_uid.where
    assert live.uid == Found(content.CLUSTERS["stage"])
