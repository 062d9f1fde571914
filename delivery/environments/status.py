"""`modelstack status`: which versions run in each environment, since when, and from which training run and data."""

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
from delivery.environments import embedded_node
from delivery.stacks import backend, stack_file, variables
from delivery.stacks.engine_errors import up_command
from infra.settings import loading
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from clients.kubernetes import Object
    from delivery.environments.outputs import Outputs
    from infra.settings.model import Settings
    from infra.settings.releases import Release, WorkloadReleases
    from workloads.declaration import Workload

SELECTOR = f"{WORKLOAD_LABEL},{VERSION_LABEL}"
"""Selects the Deployments of variants. `components.serving.variant` sets the labels and annotations."""
_WIDTH = 190
"""The width of the table in columns. A narrow terminal wraps the lines, but identifiers stay whole and can be copied."""
_IDS = ("run", "data", "image")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A running variant of an endpoint. An empty text means: not known."""

    workload: str
    role: str
    version: int
    since: str
    """The end of the last rollout, in UTC."""
    run: str
    data: str
    """The fingerprint of the training data."""
    image: str
    ready: int
    replicas: int
    endpoint: str
    traffic: str
    """The share of the requests that the variant answers; `copy` for a shadow."""
    gate: str
    """Whether the release's evidence passes the workload's gate: see `gate`."""
    approved_by: str


@dataclass(frozen=True, kw_only=True)
class StackStatus:
    """The status of one environment."""

    stack: str
    backend: str
    """The URL of the backend that was asked, without credentials."""
    state: str
    """`up`, `not up`, or a description of the problem."""
    tracking: str
    variants: list[Variant]
    pending: list[str]
    """Releases in the stack file that do not run, or do not run yet."""


def main(stack: str | None, *, as_json: bool) -> None:
    """Runs the command."""
    statuses = [stack_status(stack)] if stack is not None else [_status_or_problem(name) for name in known_stacks()]
    if as_json:
        print(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        _show(statuses)


def known_stacks() -> list[str]:
    """Returns the stacks that have a stack file in this checkout; those that exist in the backend come first."""
    names = sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in paths.CHECKOUT.glob("Pulumi.*.yaml"))
    return sorted(names, key=lambda name: not backend.has_stack(name))


def stack_status(name: str) -> StackStatus:
    """Returns the status of a stack. If its outputs or its cluster cannot be read, the error message is its `state`."""
    settings = loading.load(stack_file.path_of(name))
    node_config = embedded_node.config_of(settings)
    if not backend.has_stack(name):
        return _without_cluster(name, "not up", settings)
    if node_config is not None and not embedded_node.is_ready(node_config):
        return _without_cluster(name, f"the node does not run: `{up_command(name)}` starts it", settings)
    from delivery.environments.environment import Environment

    try:
        environment = Environment.open(name)
        outputs = environment.outputs
        namespace = naming.namespace(settings.cluster.namespace_prefix, naming.SERVING)
        deployments = environment.cluster.items(
            f"/apis/apps/v1/namespaces/{namespace}/deployments", {"labelSelector": SELECTOR}
        )
        today = clock.today()
        variants = [variant(deployment, settings.releases, outputs, today) for deployment in deployments]
    except UserError as error:
        return _without_cluster(name, error.what, settings)
    return StackStatus(
        stack=name,
        backend=variables.shown_backend(),
        state="up",
        tracking=outputs.tracking.url,
        variants=sorted(variants, key=lambda each: (each.workload, each.role != STABLE, each.role)),
        pending=pending(settings.releases, variants),
    )


def _status_or_problem(name: str) -> StackStatus:
    """Returns the status of a stack. If its stack file is invalid, its `state` says so, and the others are still shown."""
    try:
        loading.load(stack_file.path_of(name))
    except UserError:
        state = f"the stack file is invalid: `modelstack status --stack {name}` shows why"
        return StackStatus(stack=name, backend=variables.shown_backend(), state=state, tracking="", variants=[], pending=[])
    return stack_status(name)


def variant(deployment: Object, releases: Mapping[str, WorkloadReleases], outputs: Outputs, today: date) -> Variant:
    """Returns the variant of a Deployment, with the details of its release from the stack file."""
    workload = text_at(deployment, "metadata", "labels", WORKLOAD_LABEL)
    version = int(text_at(deployment, "metadata", "labels", VERSION_LABEL))
    containers = list_at(deployment, "spec", "template", "spec", "containers")
    progressing = [c for c in list_at(deployment, "status", "conditions") if c["type"] == "Progressing"]
    release = releases[workload].find(version) if workload in releases else None
    endpoint = outputs.endpoints.get(workload)
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
    """Returns the share of the requests that a role has in the stack file."""
    canary = releases.canary.percent if releases.canary else 0
    return {STABLE: f"{100 - canary} %", CANARY: f"{canary} %", SHADOW: "copy"}.get(role, "")


def gate(workload: Workload | None, release: Release | None, today: date) -> str:
    """Returns whether a release's evidence passes the workload's gate, without a comparison with another version.

    The result is `passed`, `failed`, `passed, age aside`, or empty if the workload or the release is not known. `passed, age
    aside` means that only the age of the data fails. An environment continues to serve such a release, but would refuse it as
    a new one.
    """
    if workload is None or release is None:
        return ""
    evidence = release.evidence
    for served, result in ((False, "passed"), (True, "passed, age aside")):
        if all(finding.passed for finding in workload.gate.check(evidence.metrics, age=evidence.age(today), served=served)):
            return result
    return "failed"


def pending(releases: Mapping[str, WorkloadReleases], variants: list[Variant]) -> list[str]:
    """Returns the releases in the stack file that the cluster does not run."""
    running = {(each.workload, each.version) for each in variants}
    return [
        f"{name} version {version}"
        for name, workload_releases in releases.items()
        for version in workload_releases.roles.values()
        if (name, version) not in running
    ]


def _without_cluster(name: str, state: str, settings: Settings) -> StackStatus:
    return StackStatus(
        stack=name,
        backend=variables.shown_backend(),
        state=state,
        tracking="",
        variants=[],
        pending=pending(settings.releases, []),
    )


def _show(statuses: list[StackStatus]) -> None:
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
    for status in statuses:
        for v in status.variants:
            since = v.since.replace("T", " ").removesuffix("Z")
            ready = f"{v.ready}/{v.replicas}"
            ids = (short(v.run), short(v.data), short(v.image))
            what = (status.stack, v.workload, v.role, str(v.version), v.traffic, since, ready, v.gate, v.approved_by or "-")
            table.add_row(*what, *ids, v.endpoint)
    if table.row_count:
        console.print(table)
    for status in statuses:
        if not status.variants:
            what = "up, no version is released" if status.state == "up" else status.state
            console.print(f"{status.stack}: {what}", markup=False)
        for release in status.pending:
            command = up_command(status.stack)
            console.print(f"{status.stack}: {release} is in the stack file, but does not run: run `{command}`", markup=False)
    console.print(f"backend: {variables.shown_backend()}", markup=False)
