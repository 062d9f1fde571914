"""One environment, one owner: the whole program by plain pulumi, with two backends, and with two checkouts on one backend.

The environment is the one that a release without owners has left: see `test_upgrade`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.engine.harness.control_plane import connected, control_plane
from tests.engine.harness.plain import Project, template
from tests.engine.test_upgrade import RELEASES, Upgrade

__all__ = ["template"]  # a fixture

STACK = "prod"
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "modelstack-owner", "namespace": "prod-tracking"}}
SECRETS = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "prod-tracking"}}
    for name in ("postgres", "tracking")
]
REFUSED = "belongs to another owner. Nothing is changed."
URN = f"urn:pulumi:{STACK}::modelstack::modelstack:"
OWNER = [
    f"{URN}owner:Owner::owner",
    f"{URN}owner:Owner$random:index/randomUuid:RandomUuid::owner-id",
    f"{URN}owner:Owner$kubernetes:core/v1:ConfigMap::owner-copy",
]
"""What an update is limited to, because the images of a whole one would be built."""
ADOPTED = [
    f"{URN}namespace:Namespace::tracking",
    f"{URN}cluster:ExistingCluster::cluster",
    f"{URN}cluster:ExistingCluster$pulumi:providers:kubernetes::cluster-provider",
    f"{URN}namespace:Namespace$kubernetes:core/v1:Namespace::tracking-namespace",
    f"{URN}postgres:Postgres$kubernetes:core/v1:Secret::postgres-secret",
    *OWNER,
]
"""The part of an environment to which an adoption is limited, for the same reason."""
UP = """\
from common.errors import UserError
from delivery.console.progress import PlainSink, Reporter
from delivery.machine import up
from delivery.stacks import tiers_file
import sys
class Up(up.Up):  # everything but what needs root, and the update itself, which builds images
    def _prepare(self, settings): pass
    def _update(self, stack, name):
        if name == "adoption":
            stack._stack.up(target=sys.argv[1].split(","), on_event=print)
try:
    Up(tiers_file.resolve("prod"), "environment", Reporter([PlainSink(sys.stdout)]), adopt="--adopt" in sys.argv).run()
except UserError as error:
    sys.exit(str(error))
"""


class Checkout:
    """A checkout with the current program and the stack files of the environment, on one of two backends."""

    def __init__(self, project: Project) -> None:
        self.project, self.folder = project, project.folder

    def copy(self, folder, backend=None) -> Checkout:
        """Another checkout, on another backend if one is given."""
        shutil.copytree(self.folder, folder, symlinks=True)
        made = Checkout(Project(folder, dict(self.project.environment)))
        if backend is not None:
            backend.mkdir()
            made.project.environment |= {"PULUMI_BACKEND_URL": backend.as_uri(), "PULUMI_CONFIG_PASSPHRASE": "other"}
            file = folder / f"Pulumi.{STACK}.yaml"
            file.write_text(re.sub("(?m)^encryptionsalt:.*\n", "", file.read_text()))
        return made

    def run(self, *words):
        return self.project.run(*words, "--stack", STACK)

    def update(self, *urns):
        return self.run("up", "--yes", "--skip-preview", *(f"--target={urn}" for urn in urns))

    def plan(self):
        """By the name of a resource, what an update would do to it."""
        log = self.folder.parent / f"{self.folder.name}.events"
        log.unlink(missing_ok=True)
        status, output = self.run("preview", "--event-log", str(log))
        assert status == 0, output
        events = [json.loads(line).get("resourcePreEvent", {}).get("metadata") for line in log.read_text().splitlines()]
        return {step["urn"].split("::")[-1]: step["op"] for step in events if step}

    def modelstack_up(self, *options):
        command = [sys.executable, "-c", UP, ",".join(ADOPTED), *options]
        done = subprocess.run(
            command, cwd=self.folder, env=self.project.environment, capture_output=True, text=True, check=False, timeout=200
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    def passwords(self):
        """The passwords in the state, by the name of the resource."""
        status, output = self.run("stack", "export", "--show-secrets")
        assert status == 0, output
        resources = json.loads(output)["deployment"]["resources"]
        found = {one["urn"].split("::")[-1]: one for one in resources if one["type"].endswith(":RandomPassword")}
        return {name: json.loads(one["outputs"]["result"]["plaintext"]) for name, one in found.items()}


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control-plane"), controllers="") as found:
        yield found


@pytest.fixture(scope="module")
def cluster(kubeconfig):
    return connected(kubeconfig)


@pytest.fixture(scope="module")
def first(kubeconfig, engine_home, template, tmp_path_factory):
    """The checkout and the backend that have created the environment."""
    made = Upgrade(RELEASES[-1], tmp_path_factory.mktemp("first"), engine_home, kubeconfig)
    made.prepare()
    checkout = Checkout(made._project)
    (checkout.folder / ".modelstack" / "bin").mkdir(parents=True)
    (checkout.folder / ".modelstack" / "bin" / "pulumi").symlink_to((engine_home / "bin" / "pulumi").resolve())
    (checkout.folder / ".modelstack" / "pulumi").symlink_to(engine_home)
    return checkout


@pytest.fixture(scope="module")
def other(first, tmp_path_factory):
    """Another backend, which has never seen the environment, with a checkout of its own."""
    folder = tmp_path_factory.mktemp("other")
    made = first.copy(folder / "checkout", folder / "state")
    status, output = made.project.run("stack", "init", STACK)
    assert status == 0, output
    return made


@pytest.fixture(scope="module")
def owned(first, other, cluster):
    """The first backend is the owner, after an update by plain pulumi."""
    for operation in (("preview",), ("up", "--yes", "--skip-preview")):
        status, output = other.run(*operation)
        assert status != 0, "the environment has no owner yet, and its passwords are in another state"
        assert REFUSED in output
    assert cluster.find(CONFIG_MAP) is None
    status, output = first.update(*OWNER)
    assert status == 0, output
    assert "is from now on the owner" in output, "it says so, once"
    return first


def test_the_owner_is_in_the_cluster_and_in_the_state(owned, cluster):
    data = cluster.get(CONFIG_MAP)["data"]
    status, state = owned.run("stack", "export")
    assert status == 0
    assert data["id"] in state
    assert data["backend"].startswith(owned.project.environment["PULUMI_BACKEND_URL"])
    assert (data["project"], data["stack"]) == ("modelstack", STACK)


def test_the_owner_plans_what_it_planned_and_says_nothing(owned):
    status, output = owned.run("preview")
    assert status == 0, output
    assert "owner" not in re.sub(r"\S*owner-(id|copy)\S*", "", output).replace("modelstack:owner:Owner", "")
    assert owned.plan()["owner-copy"] == "same"


def test_another_checkout_on_the_same_backend_is_the_same_owner(owned, tmp_path):
    assert owned.copy(tmp_path / "checkout").plan()["owner-copy"] == "same"


@pytest.mark.parametrize("operation", [("preview",), ("up", "--yes", "--skip-preview")])
def test_another_backend_is_refused_by_plain_pulumi_before_the_first_resource(owned, other, cluster, operation):
    before = [cluster.get(one) for one in (CONFIG_MAP, *SECRETS)]
    status, output = other.run(*operation)
    assert status != 0
    assert REFUSED in output
    assert other.project.environment["PULUMI_BACKEND_URL"] in output, "the backend that was asked"
    assert owned.project.environment["PULUMI_BACKEND_URL"] in output, "the backend of the owner"
    assert "Traceback" not in output
    assert [cluster.get(one) for one in (CONFIG_MAP, *SECRETS)] == before
    assert '"resources"' not in other.run("stack", "export")[1] or "kubernetes:" not in other.run("stack", "export")[1]


def test_modelstack_up_refuses_before_it_writes_the_stack_file(owned, other, cluster):
    file = other.folder / f"Pulumi.{STACK}.yaml"
    file.write_text(before := (owned.folder / file.name).read_text())
    status, output = other.modelstack_up()
    assert status != 0
    assert REFUSED in output
    assert file.read_text() == before, "the salt of the owner stays"


def test_adopt_keeps_the_passwords_and_afterwards_the_old_backend_is_refused(owned, other, cluster):
    before = [cluster.get(one) for one in SECRETS]
    old = cluster.get(CONFIG_MAP)["data"]["id"]
    status, output = other.modelstack_up("--adopt")
    assert status == 0, output
    for said in (
        "owner until now: stack prod",
        "passwords that stay: postgres-password, tracking-password, tracking-session-key",
    ):
        assert said in output
    assert other.passwords() == owned.passwords()
    assert cluster.get(CONFIG_MAP)["data"]["id"] != old
    plan = other.plan()  # the state of stage is in the other backend: prod serves what it served, so nothing is refused
    assert {plan[name] for name in owned.passwords()} == {"same"}, "new passwords would lock everybody out"
    assert plan["owner-id"] == "same"
    assert plan["cluster-provider"] == "update", "the usual settings"
    assert {plan[name] for name in ("tracking-namespace", "postgres-secret", "owner-copy")} == {"same"}, "nothing is replaced"
    status, output = other.update(*ADOPTED)
    assert status == 0, output
    assert other.plan()["cluster-provider"] == "same"
    assert [one["data"] for one in map(cluster.get, SECRETS)] == [one["data"] for one in before]
    status, output = owned.run("preview")
    assert status != 0
    assert REFUSED in output, "two owners would destroy each other's work"
    assert other.project.environment["PULUMI_BACKEND_URL"] in output


def test_adopt_goes_back_and_the_stack_file_gets_the_salt_of_the_state(owned, other, cluster):
    file = owned.folder / f"Pulumi.{STACK}.yaml"
    right = file.read_text()
    file.write_text((other.folder / file.name).read_text())
    assert file.read_text() != right, "the salts of two passphrases differ"
    status, output = owned.modelstack_up("--adopt")
    assert status == 0, output
    assert file.read_text() == right
    assert owned.plan()["owner-copy"] == "same"
    assert REFUSED in other.run("preview")[1]


def test_a_lost_copy_is_written_again(owned, cluster):
    identifier = cluster.get(CONFIG_MAP)["data"]["id"]
    cluster.delete(CONFIG_MAP, "Background")
    status, output = owned.run("preview")
    assert status == 0, output
    assert "its ConfigMap is missing" in output
    status, output = owned.modelstack_up()
    assert status == 0, output
    assert owned.plan()["owner-copy"] == "create"
    assert owned.update(*OWNER)[0] == 0
    assert cluster.get(CONFIG_MAP)["data"]["id"] == identifier


def test_a_cluster_that_cannot_be_asked_is_refused_with_the_reason(owned, tmp_path):
    blind = owned.copy(tmp_path / "checkout")
    kubeconfig = blind.folder / ".modelstack" / "kubeconfig"
    kubeconfig.write_text(re.sub(r"server: \S+", "server: https://127.0.0.1:1", kubeconfig.read_text()))
    status, output = blind.run("preview")
    assert status != 0
    assert f"The cluster of stack {STACK} could not be asked which cluster it is" in output
    assert "127.0.0.1:1" in output
