"""Recovery after a run that was killed."""

import json
import os
import socket
import subprocess
import time

import pytest

from common.errors import UserError
from delivery.console.progress import Reporter
from delivery.stacks import recovery

URN = "urn:pulumi:dev::modelstack::kubernetes:apps/v1:Deployment::router"


def resource(urn=URN, name="router", namespace="serving", kind="Deployment"):
    inputs = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    return {"urn": urn, "type": "kubernetes:apps/v1:Deployment", "custom": True, "inputs": inputs, "parent": "urn:parent"}


def creating(pending):
    return {"type": "creating", "resource": pending}


class FakeCluster:
    """A cluster that contains the given objects."""

    def __init__(self, *objects):
        self.objects = objects

    def exists(self, api_version, kind, namespace, name):
        return (api_version, kind, namespace, name) in self.objects


CLUSTER = FakeCluster(("apps/v1", "Deployment", "serving", "router"))


def test_an_object_that_was_created_before_the_engine_was_killed_is_imported():
    state = {"resources": [{"urn": "urn:stack"}], "pending_operations": [creating(resource())]}
    resolved = recovery.resolve_pending(state, CLUSTER)
    assert resolved.imported == [URN]
    assert resolved.state["resources"][-1]["id"] == "serving/router", "the provider's id of an object in a namespace"
    assert "pending_operations" not in resolved.state, "the engine does not warn about a resolved operation"


def test_an_object_that_was_not_created_is_left_to_the_next_update():
    resolved = recovery.resolve_pending({"resources": [], "pending_operations": [creating(resource())]}, FakeCluster())
    assert (resolved.imported, resolved.cleared) == ([], [URN])
    assert resolved.state["resources"] == []


def test_without_a_cluster_every_pending_operation_is_cleared():
    assert recovery.resolve_pending({"resources": [], "pending_operations": [creating(resource())]}, None).cleared == [URN]


def test_a_pending_resource_that_is_not_a_kubernetes_object_is_cleared_and_created_again():
    build = {"urn": "urn:image", "type": "docker:index/image:Image", "inputs": {}}
    assert recovery.resolve_pending({"resources": [], "pending_operations": [creating(build)]}, CLUSTER).cleared == [
        "urn:image"
    ]


def test_an_interrupted_update_of_a_resource_leaves_the_state_as_before_the_update():
    state = {"resources": [resource()], "pending_operations": [{"type": "updating", "resource": resource()}]}
    resolved = recovery.resolve_pending(state, CLUSTER)
    assert resolved.state["resources"] == [resource()]
    assert resolved.imported == []


def test_an_interrupted_replacement_adds_no_second_entry_for_the_same_resource():
    state = {"resources": [{**resource(), "id": "serving/router"}], "pending_operations": [creating(resource())]}
    assert len(recovery.resolve_pending(state, CLUSTER).state["resources"]) == 1


def test_a_state_without_pending_operations_is_returned_unchanged():
    state = {"resources": [resource()]}
    resolved = recovery.resolve_pending(state, CLUSTER)
    assert resolved.state is state
    assert not resolved.changed


def test_the_id_of_a_cluster_scoped_object_contains_no_namespace():
    namespace = resource(namespace=None, kind="Namespace", name="serving")
    resolved = recovery.resolve_pending(
        {"resources": [], "pending_operations": [creating(namespace)]}, FakeCluster(("apps/v1", "Namespace", "", "serving"))
    )
    assert resolved.state["resources"][0]["id"] == "serving"


def lock(folder, pid, host=None):
    folder.mkdir(exist_ok=True)
    (folder / f"{pid}.json").write_text(json.dumps({"pid": pid, "hostname": host or socket.gethostname()}))


def test_the_lock_of_an_engine_that_has_ended_is_removed(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    lock(tmp_path, child.pid)
    assert recovery.release_locks(tmp_path, Reporter([])) == 1
    assert not list(tmp_path.glob("*"))


def test_a_process_that_reuses_the_process_id_of_an_engine_does_not_hold_the_lock(tmp_path):
    lock(tmp_path, os.getpid())
    assert recovery.release_locks(tmp_path, Reporter([])) == 1, (
        "process ids are reused: this one belongs to Python, not to an engine"
    )


def test_recovery_waits_for_an_engine_that_still_writes_and_then_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(recovery, "_is_engine", lambda _pid: True)
    lock(tmp_path, 4711)
    waits = []
    with pytest.raises(UserError, match="process 4711"):
        recovery.release_locks(tmp_path, Reporter([]), waits.append)
    assert sum(waits) >= 60
    assert list(tmp_path.glob("*")), "the lock of a running engine stays"


def test_the_lock_of_an_engine_on_another_machine_stays_and_the_user_is_told(tmp_path):
    folder = tmp_path / "prod"
    lock(folder, 1)
    lock(folder, 4711, host="elsewhere")
    with pytest.raises(UserError, match=r"(?s)process 4711 of .*elsewhere.*pulumi cancel --stack prod"):
        recovery.release_locks(folder, Reporter([]))
    assert len(list(folder.glob("*"))) == 2, "nobody here knows whether that engine still runs; nothing changes"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 4}'])
def test_a_lock_that_names_no_host_stays_unless_it_is_older_than_the_last_restart(tmp_path, monkeypatch, content):
    (tmp_path / "a.json").write_text(content)
    monkeypatch.setattr(recovery.psutil, "boot_time", lambda: 0.0)
    with pytest.raises(UserError, match="names no host"):
        recovery.release_locks(tmp_path, Reporter([]))
    monkeypatch.setattr(recovery.psutil, "boot_time", lambda: time.time() + 1)
    assert recovery.release_locks(tmp_path, Reporter([])) == 1, "a power cut has left it"
