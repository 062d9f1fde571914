"""What the Pulumi program asks the cluster before the first resource: with each fault, the answer is unknown and says why."""

from __future__ import annotations

import pytest

from common.answers import Absent, Found, Unknown
from delivery.stacks import stack_file
from infra import live_cluster
from infra.settings import loading
from tests.faults.hurry import hurry
from tests.faults.injector import Fault, Rule
from tests.faults.things import API, thing

OWNER = f"/api/v1/namespaces/%stracking/configmaps/{live_cluster.OWNER_CONFIG_MAP}"
PREFIXES = {"dev": "", "stage": "stage-"}
STACKS = sorted(PREFIXES)


def read(stack):
    return live_cluster.read(loading.load(stack_file.path_of(stack)))


@pytest.mark.parametrize("stack", STACKS)
def test_without_a_fault_the_identity_is_found_and_a_missing_owner_is_absent(world, stack):
    assert read(stack) == live_cluster.LiveCluster(uid=Found("uid-/api/v1/namespaces/kube-system"), owner=Absent())
    world.clusters[stack].add(OWNER % PREFIXES[stack], data={"id": "an owner"})
    assert read(stack).owner == Found("an owner")
    asked = {name for name, proxy in world.proxies.items() if proxy.requests}
    assert asked == {thing(API, stack)}


@pytest.mark.parametrize("fault", Fault, ids=str)
@pytest.mark.parametrize("stack", STACKS)
def test_a_cluster_that_cannot_be_asked_is_neither_another_one_nor_without_an_owner(world, monkeypatch, stack, fault):
    world.clusters[stack].add(OWNER % PREFIXES[stack], data={"id": "an owner"})
    hurry(monkeypatch)
    before = world.snapshot()
    with world.proxies[thing(API, stack)].failing(Rule(fault=fault)):
        live = read(stack)
    for answer in (live.uid, live.owner):
        assert isinstance(answer, Unknown), answer
        assert world.proxies[thing(API, stack)].address in answer.where
        assert answer.reason
    assert world.snapshot() == before
