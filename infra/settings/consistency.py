"""The rules that hold between the settings of one environment. Each rule yields the problems that it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.sections.problems import Problem, nearest
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.settings.model import Settings


def conflicts(settings: Settings) -> list[Problem]:
    """Returns the problems that all rules find."""
    rules = (
        _cluster,
        _entrance,
        _replicas,
        _workloads_exist,
        _releases_have_workloads,
        _versions_in_order,
        _served_versions_have_releases,
        _roles_differ,
        _evidence_matches_its_release,
    )
    return [problem for rule in rules for problem in rule(settings)]


def _node_ports(settings: Settings) -> dict[str, int]:
    endpoints = {f"workloads.{name}.nodePort": workload.node_port for name, workload in settings.workloads.items()}
    return {"tracking.nodePort": settings.tracking.node_port, **endpoints}


def free_node_port(settings: Settings) -> int | None:
    """Returns the first reachable node port that the settings do not use yet, for a new endpoint. None if all are in use."""
    taken, reachable = _node_ports(settings).values(), settings.cluster.node_ports
    return next((port for port in range(reachable.first, reachable.last + 1) if port not in taken), None)


def _entrance(settings: Settings) -> Iterator[Problem]:
    yield from settings.entrance.problems(_node_ports(settings), settings.cluster)


def _cluster(settings: Settings) -> Iterator[Problem]:
    yield from settings.cluster.problems(settings.images)


def _replicas(settings: Settings) -> Iterator[Problem]:
    for name, workload in settings.workloads.items():
        if workload.replicas.min > workload.replicas.max:
            found = f"min {workload.replicas.min}, max {workload.replicas.max}"
            yield Problem(
                f"workloads.{name}.replicas", "has a minimum above its maximum", found, "{min: 1, max: 2}", "swap them"
            )


def _workloads_exist(settings: Settings) -> Iterator[Problem]:
    for name in settings.workloads:
        if name not in WORKLOADS:
            what = "is not a workload of this repository"
            yield Problem(
                f"workloads.{name}", what, name, ", ".join(WORKLOADS), nearest(name, WORKLOADS, "declare it in workloads/")
            )


def _releases_have_workloads(settings: Settings) -> Iterator[Problem]:
    for name in settings.releases:
        if name not in settings.workloads:
            known = ", ".join(settings.workloads) or "none"
            fix = nearest(name, settings.workloads, f"add it under workloads (listed now: {known}), or remove the release")
            yield Problem(f"releases.{name}", "is a release of a workload that this environment does not run", name, fix=fix)


def _versions_in_order(settings: Settings) -> Iterator[Problem]:
    for name, releases in settings.releases.items():
        numbers = [release.version for release in releases.versions]
        if numbers != sorted(set(numbers)):
            found, right = ", ".join(map(str, numbers)), ", ".join(map(str, sorted(set(numbers))))
            what = "does not list each version once, in ascending order"
            yield Problem(f"releases.{name}.versions", what, found, right, "sort the list and remove duplicates")


def _served_versions_have_releases(settings: Settings) -> Iterator[Problem]:
    for name, releases in settings.releases.items():
        available = ", ".join(str(release.version) for release in releases.versions) or "a list of releases"
        for role, version in releases.roles.items():
            if releases.find(version) is None:
                what = "is a version without a release under versions"
                fix = "choose a version that has one, or add the release with `modelstack promote`"
                yield Problem(f"releases.{name}.{role}", what, version, available, fix)


def _roles_differ(settings: Settings) -> Iterator[Problem]:
    for name, releases in settings.releases.items():
        first: dict[int, str] = {}
        for role, version in releases.roles.items():
            if first.setdefault(version, role) != role:
                what = f"is the same version as {first[version]}: it would be compared with itself"
                yield Problem(f"releases.{name}.{role}", what, version, fix=f"remove {role}, or choose another version")


def _evidence_matches_its_release(settings: Settings) -> Iterator[Problem]:
    for name, releases in settings.releases.items():
        for release in releases.versions:
            evidence, key = release.evidence, f"releases.{name}.versions.{release.version}.evidence"
            fix = f"`modelstack release` or `modelstack promote` with {name} --version {release.version} writes valid evidence"
            if evidence.version != release.version:
                yield Problem(f"{key}.version", "is not the release's version", evidence.version, str(release.version), fix)
            if evidence.data != release.data:
                yield Problem(f"{key}.data", "is not the release's data", evidence.data, release.data, fix)
