"""An upgrade loses nothing: the current program, previewed on environments that an older release has brought up.

`upgrade/NAME` holds what a release left behind: states, stack files, approvers. The real engine previews the current program on
each of these states, against an API server that holds the same objects. A plan that deletes or replaces anything fails.
"""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

# All that this test calls of the product. The rest of it is files: what `pulumi preview` reads in a checkout.
from delivery.environments.outputs import parse as parse_outputs
from infra.promotion.approval import objection
from infra.promotion.deployed import parse as parse_releases
from infra.settings.loading import load as load_settings
from tests.engine.harness.control_plane import connected, control_plane
from tests.engine.harness.plain import opened, template
from tests.harness import CHECKOUT
from workloads.declaration import read_approvers

__all__ = ["template"]  # a fixture

UPGRADE = Path(__file__).with_name("upgrade")
RELEASES = sorted(folder.parent.name for folder in UPGRADE.glob("*/states"))
STACKS = ("dev", "stage", "prod")
SECRET_KEY, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"

HARMLESS = {"same", "create", "update", "read", "refresh"}
"""Operations that leave in place what was there."""
EXPECTED = {
    r"^delete .*::pulumi:providers:\w+::default_": "default providers are named after the version of their SDK",
    r"^replace .*:ConfigMap::.*-router-config$": "named by a hash of its content: the new one is created first",
}
"""Patterns of operation and URN that a plan may have nevertheless, with the reason."""
MUTATIONS = {
    "modelstack:postgres:Postgres": "modelstack:postgres:Database",
    "}-claim": "}-folder",
    "modelstack.dev/role": "modelstack.dev/part",
    '"servingImage"': '"baseImage"',
}
"""What a careless refactoring may rename: the type of a component, the name of a child, a label in selectors, an output."""


@dataclass
class Plan:
    """What the engine would do to a stack."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By URN; of a replacement, which is several steps, the one called `replace`."""
    outputs: set[str] = field(default_factory=set)
    failure: str = ""

    def see(self, event: dict[str, Any]) -> None:
        step = event.get("resourcePreEvent", {}).get("metadata")
        if step and self.steps.get(step["urn"], {}).get("op") != "replace":
            self.steps[step["urn"]] = step
        done = event.get("resOutputsEvent", {}).get("metadata", {})
        if done.get("type") == "pulumi:pulumi:Stack":
            self.outputs = set(done["new"]["outputs"])  # the last event counts: the first one has those of the state

    @property
    def old_urns(self) -> set[str]:
        """The URNs in the state of all that the plan is about. An alias gives a resource another one."""
        return {step["old"]["urn"] for step in self.steps.values() if step["old"]}

    @property
    def losses(self) -> list[str]:
        """What the plan deletes or replaces, and what to do about each."""
        return [self._loss(step) for step in self.steps.values() if step["op"] not in HARMLESS and not is_expected(step)]

    def _loss(self, step: dict[str, Any]) -> str:
        urn, operation = step["urn"], step["op"]
        lines = [f"{operation} {shown(urn)}"]
        if operation == "replace":
            lines += [
                f"because of: {', '.join(step.get('keys') or ['?'])}",
                "do: keep the old value, it cannot be changed in place",
            ]
        else:
            successors = [other for other, one in self.steps.items() if one["op"] == "create" and is_similar(urn, other)]
            if successors:
                lines.append(f"instead: create {' or '.join(map(shown, successors))}")
            lines.append("do: add an alias with the old name, type or parent to the resource that was renamed or moved,")
            lines.append("    or to the component that it is a child of: opts=ResourceOptions(aliases=[pulumi.Alias(...)])")
        return "\n    ".join(lines)


def shown(urn: str) -> str:
    types, name = urn.split("::")[2:4]
    return f"{name} ({types})"


def is_similar(urn: str, other: str) -> bool:
    """Whether both have the same name or the same type, which includes the types of all parents."""
    return any(one == two for one, two in zip(urn.split("::")[2:4], other.split("::")[2:4], strict=True))


def is_expected(step: dict[str, Any]) -> bool:
    return any(re.search(pattern, f"{step['op']} {step['urn']}") for pattern in EXPECTED)


@cache
def state(release: str, stack: str) -> str:
    return (UPGRADE / release / "states" / f"{stack}.json").read_text()


def revealed(value: Any) -> Any:
    """A value of a state without the marks of secrets."""
    if isinstance(value, dict):
        if value.get(SECRET_KEY) == SECRET:
            return json.loads(value["plaintext"])
        return {key: revealed(item) for key, item in value.items()}
    return [revealed(item) for item in value] if isinstance(value, list) else value


def resources(release: str, stack: str, kind: str) -> list[dict[str, Any]]:
    """The resources of a state whose type begins with `kind`."""
    found = json.loads(state(release, stack))["deployment"]["resources"]
    return [revealed(resource) for resource in found if resource["type"].startswith(kind)]


def outputs(release: str, stack: str) -> dict[str, Any]:
    (root,) = resources(release, stack, "pulumi:pulumi:Stack")
    return root["outputs"]


def stack_file(release: str, stack: str) -> Path:
    return UPGRADE / release / "checkout" / f"Pulumi.{stack}.yaml"


class Upgrade:
    """The environments of a release, and the current program in a checkout beside them."""

    def __init__(self, release: str, folder: Path, home: Path, kubeconfig: str) -> None:
        self.release, self._home, self._kubeconfig = release, home, kubeconfig
        self._project = opened(folder / "upgrade", home)
        del self._project.environment["PULUMI_STACK"]

    def prepare(self) -> None:
        """Makes the checkout, fills the cluster, and imports the states."""
        hidden = shutil.ignore_patterns(".*", "__pycache__", "tests", "Pulumi.*.yaml")
        shutil.copytree(CHECKOUT, self._project.folder, ignore=hidden)
        shutil.copytree(UPGRADE / self.release / "checkout", self._project.folder, dirs_exist_ok=True)
        (self._project.folder.parent / "state").mkdir()
        with ThreadPoolExecutor() as threads:
            imported = threads.map(self._import, STACKS)
            self._fill_cluster()
            list(imported)

    def _fill_cluster(self) -> None:
        """Applies every object as the release has applied it."""
        cluster = connected(self._kubeconfig)
        made = [one["outputs"] for stack in STACKS for one in resources(self.release, stack, "kubernetes:")]
        for one in sorted(made, key=lambda one: one["kind"] != "Namespace"):
            cluster.apply(one["__inputs"], one["__fieldManager"])

    def _import(self, stack: str) -> None:
        folder, file = self._project.folder, self._project.folder.parent / f"{stack}.json"
        self._pulumi("stack", "init", stack)
        salt = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["encryptionsalt"]
        exported = json.loads(self._connected(stack))
        exported["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
        file.write_text(json.dumps(exported))
        self._pulumi("stack", "import", "--stack", stack, "--file", str(file))

    def _connected(self, stack: str) -> str:
        """The state, with the cluster of the test in the place of its own."""
        (provider,) = resources(self.release, stack, "pulumi:providers:kubernetes")
        recorded, kubeconfig = provider["inputs"]["kubeconfig"], yaml.safe_load(self._kubeconfig)
        if "\n" in recorded:  # content; it stands in the state as JSON in JSON, because it is a secret
            content, other = (json.dumps(json.dumps(text))[1:-1] for text in (recorded, self._kubeconfig))
            assert content in state(self.release, stack)
            return state(self.release, stack).replace(content, other)
        kubeconfig["contexts"][0]["name"] = kubeconfig["current-context"] = provider["inputs"]["context"]
        file = self._project.folder / recorded
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(kubeconfig))
        return state(self.release, stack)

    def _pulumi(self, *words: str) -> None:
        status, output = self._project.run(*words)
        assert status == 0, output

    def mutated(self, folder: Path) -> Upgrade:
        """A copy of it with a program in which `MUTATIONS` were made."""
        made = Upgrade(self.release, folder, self._home, self._kubeconfig)
        shutil.copytree(self._project.folder.parent, made._project.folder.parent)
        files = list(made._project.folder.rglob("*.py"))
        for old, new in MUTATIONS.items():
            found = [file for file in files if old in file.read_text()]
            assert found, f"{old} is nowhere in the program any more: choose another mutation"
            for file in found:
                file.write_text(file.read_text().replace(old, new))
        return made

    def plans(self, *stacks: str) -> dict[str, Plan]:
        with ThreadPoolExecutor() as threads:
            return dict(zip(stacks, threads.map(self._preview, stacks), strict=True))

    def _preview(self, stack: str) -> Plan:
        log, plan = self._project.folder.parent / f"{stack}.events", Plan()
        status, output = self._project.run("preview", "--diff", "--stack", stack, "--event-log", str(log))
        for line in log.read_text().splitlines() if log.exists() else ():
            plan.see(json.loads(line))
        plan.failure = output if status else ""
        return plan


@pytest.fixture(scope="module", params=RELEASES)
def upgrade(request, engine_home, template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("upgrade")
    with control_plane(folder, controllers="") as kubeconfig:
        made = Upgrade(request.param, folder, engine_home, kubeconfig)
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def plans(upgrade):
    return upgrade.plans(*STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_the_current_program_deletes_and_replaces_nothing(upgrade, plans, stack):
    plan = plans[stack]
    losses = "\n".join(plan.losses)
    assert not losses, f"On {stack}, as {upgrade.release} has left it, the current program would\n{losses}"
    assert not plan.failure, plan.failure
    missed = {one["urn"] for one in resources(upgrade.release, stack, "")} - plan.old_urns
    assert not missed, "the plan has a step for each resource of the state"


@pytest.mark.parametrize("stack", STACKS)
def test_every_output_keeps_its_name(upgrade, plans, stack):
    gone = outputs(upgrade.release, stack).keys() - plans[stack].outputs
    assert not gone, "other stacks and the commands of other checkouts read them"


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("release", RELEASES)
def test_old_stack_files_are_read(release, stack):
    settings = load_settings(stack_file(release, stack))
    assert len(settings.releases["markdown"].versions) == 2


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("release", RELEASES)
def test_old_outputs_are_read(release, stack):
    found, settings = outputs(release, stack), load_settings(stack_file(release, stack))
    stable = {workload: releases.stable for workload, releases in settings.releases.items()}
    assert {workload: endpoint.version for workload, endpoint in parse_outputs(stack, found).endpoints.items()} == stable
    assert {workload: one.version for workload, one in parse_releases(found).items()} == stable


@pytest.mark.parametrize("release", RELEASES)
def test_old_approvals_still_count(release):
    approvers = read_approvers(UPGRADE / release / "checkout" / "workloads" / "markdown")
    for version in load_settings(stack_file(release, "prod")).releases["markdown"].versions:
        assert objection("prod", "markdown", version, approvers) == ""
        assert objection("stage", "markdown", version, approvers) != "", "it was signed for prod"


@pytest.fixture(scope="module")
def careless(upgrade, tmp_path_factory):
    """The plans of a program in which things were renamed."""
    return upgrade.mutated(tmp_path_factory.mktemp("mutated")).plans("dev", "prod")


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (
            "delete postgres-volume (modelstack:postgres:Postgres$kubernetes:core/v1:PersistentVolumeClaim)",
            "instead: create postgres-volume (modelstack:postgres:Database$kubernetes:core/v1:PersistentVolumeClaim)",
        ),
        ("delete artifacts-claim (", "artifacts-folder ("),
        ("replace markdown-stable-deployment (", "because of: spec.selector.matchLabels"),
    ],
)
def test_a_careless_rename_is_named_with_what_would_happen_and_what_to_do(careless, loss, reason):
    (told,) = [told for told in careless["dev"].losses if told.startswith(loss)]
    assert reason in told
    assert "\n    do: " in told


def test_a_renamed_output_is_seen(upgrade, careless):
    assert outputs(upgrade.release, "dev").keys() - careless["dev"].outputs == {"servingImage"}


def test_the_engine_itself_refuses_to_delete_what_is_protected(careless):
    assert "postgres-volume" in careless["prod"].failure
    assert "cannot be deleted" in careless["prod"].failure
