"""Going on after a run that was killed."""

import json
import os
import socket
import subprocess

import pytest

from common.errors import UserError
from delivery.console.progress import Reporter
from delivery.stacks import recovery

URN = "urn:pulumi:dev::modelstack::kubernetes:apps/v1:Deployment::router"


def resource(urn=URN, name="router", namespace="serving", kind="Deployment"):
    inputs = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    return {"urn": urn, "type": "kubernetes:apps/v1:Deployment", "custom": True, "inputs": inputs, "parent": "urn:parent"}


def creating(found):
    return {"type": "creating", "resource": found}


class World:
    """A cluster with some objects."""

    def __init__(self, *objects):
        self.objects = objects

    def exists(self, api_version, kind, namespace, name):
        return (api_version, kind, namespace, name) in self.objects


HERE = World(("apps/v1", "Deployment", "serving", "router"))


def test_an_object_that_was_created_before_the_engine_died_is_taken_over():
    state = {"resources": [{"urn": "urn:stack"}], "pending_operations": [creating(resource())]}
    mended = recovery.mend(state, HERE)
    assert mended.imported == [URN]
    assert mended.state["resources"][-1]["id"] == "serving/router", "the provider's id of an object in a namespace"
    assert "pending_operations" not in mended.state, "the engine is not warned of what was resolved"


def test_an_object_that_was_not_created_is_left_to_the_next_update():
    mended = recovery.mend({"resources": [], "pending_operations": [creating(resource())]}, World())
    assert (mended.imported, mended.cleared) == ([], [URN])
    assert mended.state["resources"] == []


def test_without_a_cluster_nothing_in_it_can_have_been_created():
    assert recovery.mend({"resources": [], "pending_operations": [creating(resource())]}, None).cleared == [URN]


def test_what_is_no_kubernetes_object_is_made_again():
    build = {"urn": "urn:image", "type": "docker:index/image:Image", "inputs": {}}
    assert recovery.mend({"resources": [], "pending_operations": [creating(build)]}, HERE).cleared == ["urn:image"]


def test_an_update_that_was_under_way_is_done_again_from_the_state_before_it():
    state = {"resources": [resource()], "pending_operations": [{"type": "updating", "resource": resource()}]}
    mended = recovery.mend(state, HERE)
    assert mended.state["resources"] == [resource()]
    assert mended.imported == []


def test_a_replacement_does_not_make_a_second_entry_of_the_same_resource():
    state = {"resources": [{**resource(), "id": "serving/router"}], "pending_operations": [creating(resource())]}
    assert len(recovery.mend(state, HERE).state["resources"]) == 1


def test_a_state_in_order_stays_as_it_is():
    state = {"resources": [resource()]}
    mended = recovery.mend(state, HERE)
    assert mended.state is state
    assert not mended.changed


def test_objects_of_the_cluster_itself_have_no_namespace_in_their_id():
    found = resource(namespace=None, kind="Namespace", name="serving")
    mended = recovery.mend(
        {"resources": [], "pending_operations": [creating(found)]}, World(("apps/v1", "Namespace", "", "serving"))
    )
    assert mended.state["resources"][0]["id"] == "serving"


def lock(folder, pid, host=None):
    folder.mkdir(exist_ok=True)
    (folder / f"{pid}.json").write_text(json.dumps({"pid": pid, "hostname": host or socket.gethostname()}))


def test_the_lock_of_an_engine_that_is_gone_is_removed(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    lock(tmp_path, child.pid)
    assert recovery.release_locks(tmp_path, Reporter([])) == 1
    assert not list(tmp_path.glob("*"))


def test_a_process_that_only_has_the_number_of_the_engine_does_not_hold_the_lock(tmp_path):
    lock(tmp_path, os.getpid())
    assert recovery.release_locks(tmp_path, Reporter([])) == 1, "numbers are used again: this one is a Python, not an engine"


def test_an_engine_that_still_writes_is_waited_for_and_then_named(tmp_path, monkeypatch):
    monkeypatch.setattr(recovery, "_is_engine", lambda _pid: True)
    lock(tmp_path, 4711)
    waits = []
    with pytest.raises(UserError, match="process 4711"):
        recovery.release_locks(tmp_path, Reporter([]), waits.append)
    assert sum(waits) >= 60
    assert list(tmp_path.glob("*")), "its lock stays"
