"""Runs that are killed: the next one goes on, and neither duplicates nor orphans are left."""

import collections
import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from common import paths
from delivery.stacks import recovery
from infra.settings import loading

MODELSTACK = str(Path(sys.executable).with_name("modelstack"))
DEPLOYMENTS = "/apis/apps/v1/namespaces/serving/deployments"


KILLED_AT = (
    (r"tools \.\.\.", 0.2),
    (r"stack \w+ \.\.\.", 0.2),
    (r"environment > plan \.\.\.", 1.0),
    (r"environment > apply \.\.\.", 1.0),
    (r"environment > apply: .*creating", 6.0),
    (r"environment > apply: .*Image", 5.0),
    (r"environment > apply: .*(postgres|tracking)", 1.0),
    (r"training markdown.* \.\.\.", 0.5),
    (r"> prepare \(", 2.0),
    (r"> train \(", 2.0),
    (r"release markdown \.\.\.", 0.5),
    (r"> (image|push) markdown-serving \.\.\.", 0.2),
    (r"endpoints > apply \.\.\.", 0.5),
    (r"Everything is up", 0.0),
)
"""What `up` says when it is killed, and seconds to wait after that."""


def stable_deployment(user):
    (found,) = [
        resource
        for resource in user.state()
        if resource["type"] == "kubernetes:apps/v1:Deployment" and "stable" in resource["urn"].rpartition("::")[2]
    ]
    return found


def pending(user):
    """The operations that the engine has noted as begun, read from the backend as a killed engine leaves it."""
    file = paths.BACKEND / ".pulumi" / "stacks" / "modelstack" / f"{user.stack}.json"
    try:
        latest = json.loads(file.read_text())["checkpoint"]["latest"] or {}
    except ValueError:
        return []
    return [operation["resource"]["urn"] for operation in latest.get("pending_operations") or []]


def descendants(process):
    return [*process.children(recursive=True), process]


def kill_when_creating(user, urn, whom):
    """Starts `up`, waits until the engine creates `urn`, and kills without warning: us, the engine, or everything."""
    command = user.start(MODELSTACK, "up", "--stack", user.stack)
    deadline = time.monotonic() + 120
    while urn not in pending(user):
        assert command.poll() is None, command.stdout.read()
        assert time.monotonic() < deadline, "the engine never began"
        time.sleep(0.05)
    time.sleep(0.5)  # the request reaches the API server
    for process in descendants(psutil.Process(command.pid)):
        name = process.name()
        if (
            whom == "everything"
            or (whom == "command" and process.pid == command.pid)
            or (whom == "engine" and name == "pulumi")
        ):
            with suppress(psutil.NoSuchProcess):  # it has ended since
                process.kill()
    command.communicate(timeout=60)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("whom", ["everything", "engine", "command"])
def test_an_update_that_was_killed_goes_on_without_duplicates_or_orphans(user, cluster, whom):
    deployment = stable_deployment(user)
    user.pulumi("destroy", "--yes", "--skip-preview", "--target", deployment["urn"], "--target-dependents")
    kill_when_creating(user, deployment["urn"], whom)

    said = user.modelstack("up", "--stack", user.stack)
    assert "Everything is up" in said
    twice = [urn for urn, count in collections.Counter(resource["urn"] for resource in user.state()).items() if count > 1]
    assert twice == []
    assert pending(user) == []
    user.pulumi("preview", "--expect-no-changes")
    user.pulumi("refresh", "--preview-only", "--expect-no-changes")
    names = [found["metadata"]["name"] for found in cluster.items(DEPLOYMENTS)]
    assert len(names) == len(set(names)) == 2, "one variant and its router"


@pytest.mark.chaos
@pytest.mark.timeout(2400)
def test_an_environment_is_made_from_nothing_though_each_of_its_steps_is_killed_once(user):
    user.modelstack("down", "--stack", user.stack)
    for said, seconds in KILLED_AT:
        command = user.start(MODELSTACK, "up", "--stack", user.stack)
        if any(re.search(said, line) for line in command.stdout):
            time.sleep(seconds)
            for process in descendants(psutil.Process(command.pid)):
                with suppress(psutil.NoSuchProcess):  # it has ended since
                    process.kill()
        command.communicate(timeout=60)
    user.modelstack("up", "--stack", user.stack)
    assert "Nothing to do: everything is up" in user.modelstack("up", "--stack", user.stack)
    twice = [urn for urn, count in collections.Counter(resource["urn"] for resource in user.state()).items() if count > 1]
    assert (twice, pending(user)) == ([], [])
    user.pulumi("refresh", "--preview-only", "--expect-no-changes")
    cluster = user.cluster()
    jobs = cluster.items("/apis/batch/v1/namespaces/training/jobs")
    cluster.close()
    assert (len(jobs), user.release()["version"]) == (1, 1), "it was trained once"
    assert [process.pid for process in psutil.process_iter() if str(paths.PULUMI_HOME) in " ".join(process.cmdline())] == []


@pytest.mark.timeout(600)
def test_an_interrupt_ends_the_engine_in_order_and_up_goes_on(user):
    deployment = stable_deployment(user)
    user.pulumi("destroy", "--yes", "--skip-preview", "--target", deployment["urn"], "--target-dependents")
    command = user.start(MODELSTACK, "up", "--stack", user.stack)
    while deployment["urn"] not in pending(user):
        assert command.poll() is None, command.stdout.read()
        time.sleep(0.05)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does
    said, _ = command.communicate(timeout=120)
    assert command.returncode == 130, said
    assert said.rstrip().endswith("it continues where it stopped.")
    assert "Traceback" not in said
    assert not list(recovery.lock_folder(paths.BACKEND, user.stack).glob("*.json")), "the engine released its lock itself"
    assert "Everything is up" in user.modelstack("up", "--stack", user.stack)
    user.pulumi("preview", "--expect-no-changes")


@pytest.mark.timeout(600)
def test_a_node_that_was_stopped_is_started_again_with_its_data(user):
    ports = loading.load(user.stack_file).cluster
    flags = ["--api-port", ports.api_port, "--registry-port", ports.registry_port, "--node-ports", ports.node_ports]
    before = user.release()
    user.modelstack("node", "stop", *map(str, flags))
    (status,) = json.loads(user.modelstack("status", "--stack", user.stack, "--json"))
    assert "does not run" in status["state"]
    said = user.modelstack("up", "--stack", user.stack)
    assert "predicted" in said
    assert user.release() == before, "models and images are still there"
    user.pulumi("preview", "--expect-no-changes")
