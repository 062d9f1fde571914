"""`modelstack status`: what runs where, since when, from which run and data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from clients.kubernetes import list_at, text_at
from common import clock, naming, paths
from common.errors import UserError
from common.labels import ROLE_LABEL, RUN_ANNOTATION, VERSION_LABEL, WORKLOAD_LABEL
from common.roles import CANARY, SHADOW, STABLE
from delivery.console.tables import plain_table, short, wide_console
from delivery.environments import embedded_node, outputs
from delivery.stacks import backend, stack_file
from infra.settings import loading
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from clients.kubernetes import Object
    from infra.settings.model import Settings
    from infra.settings.releases import Release, WorkloadReleases
    from workloads.declaration import Workload

SELECTOR = f"{WORKLOAD_LABEL},{VERSION_LABEL}"
"""Finds the Deployments of variants. Labels and annotations are those that `components.serving.variant` sets."""
_WIDTH = 160
"""Identifiers are there to be copied: a narrow terminal may break the line, but not the words."""
_IDS = ("run", "data", "image")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of an endpoint as it runs. Empty texts: not known."""

    workload: str
    role: str
    version: int
    since: str
    """When its last rollout ended, in UTC."""
    run: str
    data: str
    """Fingerprint of the data it was trained on."""
    image: str
    ready: int
    replicas: int
    endpoint: str
    traffic: str
    """The share of the requests that it answers; `copy` for a shadow."""
    gate: str
    """Whether its evidence passes the workload's gate by itself: see `gate`."""
    approved_by: str


@dataclass(frozen=True, kw_only=True)
class StackStatus:
    """One environment."""

    stack: str
    state: str
    """`up`, `not up`, or what is wrong."""
    tracking: str
    variants: list[Variant]
    pending: list[str]
    """Releases of the stack file that do not run (yet)."""


def main(stack: str | None, *, as_json: bool) -> None:
    """Runs the command."""
    names = [stack] if stack is not None else known_stacks()
    found = [of(name) for name in names]
    if as_json:
        print(json.dumps([asdict(status) for status in found], indent=2))
    else:
        _show(found)


def known_stacks() -> list[str]:
    """The stacks that this checkout has files for, those that exist first."""
    names = sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in paths.CHECKOUT.glob("Pulumi.*.yaml"))
    return sorted(names, key=lambda name: not backend.has_stack(name))


def of(name: str) -> StackStatus:
    """One stack's status. What is wrong with it is part of the answer."""
    settings = loading.load(stack_file.path_of(name))
    found = embedded_node.embedded(settings)
    if not backend.has_stack(name):
        return _without_cluster(name, "not up", settings)
    if found is not None and not embedded_node.running(found):
        return _without_cluster(name, "the node does not run: `make up` starts it", settings)
    from delivery.environments.environment import Environment

    try:
        environment = Environment.open(name)
        namespace = naming.namespace(settings.cluster.namespace_prefix, naming.SERVING)
        deployments = environment.cluster.items(
            f"/apis/apps/v1/namespaces/{namespace}/deployments", {"labelSelector": SELECTOR}
        )
        today = clock.today()
        variants = [variant(deployment, settings.releases, environment.outputs, today) for deployment in deployments]
    except UserError as error:
        return _without_cluster(name, error.what, settings)
    return StackStatus(
        stack=name,
        state="up",
        tracking=environment.outputs.tracking.url,
        variants=sorted(variants, key=lambda found: (found.workload, found.role != STABLE, found.role)),
        pending=pending(settings.releases, variants),
    )


def variant(deployment: Object, releases: Mapping[str, WorkloadReleases], known: outputs.Outputs, today: date) -> Variant:
    """What a variant's Deployment says, with what the stack file knows about its release."""
    workload = text_at(deployment, "metadata", "labels", WORKLOAD_LABEL)
    version = int(text_at(deployment, "metadata", "labels", VERSION_LABEL))
    containers = list_at(deployment, "spec", "template", "spec", "containers")
    progressing = [c for c in list_at(deployment, "status", "conditions") if c["type"] == "Progressing"]
    release = releases[workload].find(version) if workload in releases else None
    endpoint = known.endpoints.get(workload)
    role = text_at(deployment, "metadata", "labels", ROLE_LABEL)
    return Variant(
        workload=workload,
        role=role,
        version=version,
        since=text_at(progressing[0], "lastUpdateTime") if progressing else "",
        run=text_at(deployment, "metadata", "annotations", RUN_ANNOTATION) or (release.run if release else ""),
        data=release.data if release else "",
        image=text_at(containers[0], "image").rpartition("@")[2] if containers else "",
        ready=int(text_at(deployment, "status", "readyReplicas") or 0),
        replicas=int(text_at(deployment, "status", "replicas") or 0),
        endpoint=endpoint.url if endpoint else "",
        traffic=traffic(role, releases[workload]) if workload in releases else "",
        gate=gate(WORKLOADS.get(workload), release, today),
        approved_by=release.approval.by if release and release.approval else "",
    )


def traffic(role: str, releases: WorkloadReleases) -> str:
    """What share of the requests the stack file gives to a role."""
    canary = releases.canary.percent if releases.canary else 0
    return {STABLE: f"{100 - canary} %", CANARY: f"{canary} %", SHADOW: "copy"}.get(role, "")


def gate(workload: Workload | None, release: Release | None, today: date) -> str:
    """Whether a release's evidence passes its workload's gate, whatever is stable elsewhere: `passed` or `failed`.

    `passed, age aside` where only the age of its data would keep it from coming to an environment today: it is served on.
    """
    if workload is None or release is None:
        return ""
    evidence = release.evidence
    for served, says in ((False, "passed"), (True, "passed, age aside")):
        if all(found.passed for found in workload.gate.check(evidence.metrics, age=evidence.age(today), served=served)):
            return says
    return "failed"


def pending(releases: Mapping[str, WorkloadReleases], variants: list[Variant]) -> list[str]:
    """What the stack file releases and the cluster does not run."""
    running = {(found.workload, found.version) for found in variants}
    return [
        f"{name} version {version}"
        for name, each in releases.items()
        for version in each.roles.values()
        if (name, version) not in running
    ]


def _without_cluster(name: str, state: str, settings: Settings) -> StackStatus:
    return StackStatus(stack=name, state=state, tracking="", variants=[], pending=pending(settings.releases, []))


def _show(found: list[StackStatus]) -> None:
    table = plain_table(
        "stack",
        "workload",
        "variant",
        "version",
        "traffic",
        "since (UTC)",
        "ready",
        "gate",
        "approved by",
        *_IDS,
        "endpoint",
    )
    console = wide_console(_WIDTH)
    for status in found:
        for v in status.variants:
            since = v.since.replace("T", " ").removesuffix("Z")
            ready = f"{v.ready}/{v.replicas}"
            ids = (short(v.run), short(v.data), short(v.image))
            what = (status.stack, v.workload, v.role, str(v.version), v.traffic, since, ready, v.gate, v.approved_by or "-")
            table.add_row(*what, *ids, v.endpoint)
    if table.row_count:
        console.print(table)
    for status in found:
        if not status.variants:
            what = "up, nothing is released" if status.state == "up" else status.state
            console.print(f"{status.stack}: {what}", markup=False)
        for release in status.pending:
            console.print(f"{status.stack}: the stack file releases {release}, which does not run: `make up`", markup=False)
