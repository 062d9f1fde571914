"""`modelstack down` where other backends have environments, and where the owner is not known."""

from __future__ import annotations

import pytest

from common.answers import Found, Unknown
from common.errors import UserError
from delivery.machine import down
from infra import live_cluster
from infra.live_cluster import LiveCluster
from tests.unit.delivery.machine.machines import EMBEDDED, EXISTING

GUEST = {
    "dev": "stack dev of project modelstack in b",
    "tour-stage": "stack tour-stage of project modelstack in s3://elsewhere",
}


@pytest.mark.parametrize(
    ("environments", "says"),
    [
        (Found(GUEST), "(?s)Environments of other owners.*found: stack tour-stage .*s3://elsewhere.*node stop --remove-data"),
        (Unknown(where="w", reason="403"), "(?s)It is not known who owns.*found: 403"),
    ],
)
def test_down_does_not_remove_a_node_with_environments_of_other_backends(machine, environments, says):
    machine.stacks = {"dev"}
    machine.environments = environments
    with pytest.raises(UserError, match=says):
        down.main("dev")
    assert machine.calls == []


def test_the_environments_of_a_cluster_are_those_with_an_owner(monkeypatch):
    items = [{"data": {"stack": "dev", "project": "modelstack", "backend": "b", "id": "i"}}]

    class Client:
        def items(self, path, params):
            assert (path, params) == ("/api/v1/configmaps", {"fieldSelector": "metadata.name=modelstack-owner"})
            return items

        def close(self):
            """Nothing is open."""

    monkeypatch.setattr(live_cluster, "client", lambda _cluster: Found(Client()))
    assert live_cluster.environments(None) == Found({"dev": GUEST["dev"]})


SILENT = Unknown(where="https://k.example", reason="403 Forbidden")
LIVE = LiveCluster(uid=Found("uid"), owner=SILENT, database=SILENT)


@pytest.mark.parametrize(
    ("name", "text", "way_out"),
    [("dev", EMBEDDED, "node stop --remove-data"), ("stage", EXISTING % "kubeconfig", "pulumi destroy --stack stage")],
)
def test_down_destroys_nothing_if_a_cluster_that_runs_cannot_be_asked_for_the_owner(machine, name, text, way_out):
    machine.write(text, name)
    machine.stacks, machine.live = {name}, LIVE
    with pytest.raises(UserError, match="not known who owns") as refused:
        down.main(name)
    assert ("k.example" in str(refused.value), "403" in str(refused.value), way_out in str(refused.value)) == (True,) * 3
    assert machine.calls == []
    assert machine.stacks == {name}


def test_down_removes_a_node_that_does_not_run_without_asking_it_for_the_owner(machine):
    machine.stacks, machine.node_ready, machine.live = {"dev"}, False, LIVE
    down.main("dev")
    assert machine.calls == ["stop node"]
