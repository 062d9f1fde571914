"""The stack files of the tour, which tries stage and prod in dev's embedded cluster. See `infra.settings.tour`.

All that depends on this machine (ports, container registry, base image) comes from the stack file of dev.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from delivery.environments import embedded_node
from delivery.stacks import stack_file
from infra.settings import loading, tour
from infra.tiers import loading as tiers
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.settings.model import Settings

_TEXT: Final = Template("""\
# yaml-language-server: $$schema=infra/stack.schema.json
# Written by `modelstack tour`, to try $tier on this machine, in the cluster of $dev. Git ignores this file.
# `modelstack down --stack $stack` destroys the environment and deletes this file.
config:
  pulumi:disable-default-providers: [kubernetes]
  modelstack:cluster:
$cluster
  modelstack:images:
    registry: $registry
    base: $base
  # The environment shares one machine with others, and `modelstack down` must be able to delete its data.
  modelstack:database:
    cpu: 50m
    protect: false
  modelstack:tracking:
    cpu: 50m
    nodePort: $tracking
    protect: false
  modelstack:workloads:
$workloads
""")
_OFFSETS: Final = {tour.STAGE: 10, tour.PROD: 20}
"""The first node port of each environment, counted from the first one of dev: the numbers are easy to remember."""
_TRACKING: Final = ""
"""Stands for the tracking server among the names of workloads, which are never empty."""


def paths_of() -> Mapping[str, Path]:
    """Returns the paths of the tour's stack files, by stack."""
    return {stack: stack_file.path_of(stack) for stack in tour.STACKS}


def texts(dev: Settings) -> Mapping[str, str]:
    """Returns the content of the tour's stack files, by stack. They are valid, and list no releases.

    Args:
        dev: the settings of `tour.DEV`.

    Raises:
        UserError: dev has no embedded cluster, or the cluster does not have enough node ports.
    """
    if embedded_node.config_of(dev) is None:
        file = stack_file.path_of(tour.DEV).name
        fix = "try stage and prod with stack files of your own, in clusters of your own"
        raise UserError(
            f"The tour needs the embedded cluster of {tour.DEV}.",
            where=f"modelstack:cluster in {file}",
            fix=fix,
        )
    ports = node_ports(dev)
    found = {stack: _text(stack, dev, ports[stack]) for stack in tour.STACKS}
    for stack, text in found.items():
        loading.parse_text(text, stack_file.path_of(stack).name)
    return found


def node_ports(dev: Settings) -> Mapping[str, Mapping[str, int]]:
    """Returns the node ports of each stack of the tour: of the tracking server (under an empty name), and by workload.

    All workloads of the repository get one, so that each of them can be promoted. If there are too few node ports for that,
    only those of dev get one. For a workload that dev does not have yet, one node port is left for dev.

    Raises:
        UserError: there are too few node ports for the workloads of dev.
    """
    reachable = dev.cluster.node_ports
    in_use = {dev.tracking.node_port, *(each.node_port for each in dev.workloads.values())}
    free = [port for port in range(reachable.first, reachable.last + 1) if port not in in_use]
    new = [name for name in WORKLOADS if name not in dev.workloads]
    names = [name for name in WORKLOADS if name in dev.workloads or _needed(len(WORKLOADS), len(new)) <= len(free)]
    needed = _needed(len(names), 0)
    if needed > len(free):
        raise UserError(
            f"The tour needs {needed} more node ports.",
            where=f"modelstack:cluster: nodePorts in {stack_file.path_of(tour.DEV).name}",
            found=f"{reachable}, of which {len(free)} are free",
            example=f"{reachable.first}-{reachable.last + needed - len(free)}",
            fix="widen the range, then run `make up`",
        )
    if len(names) == len(WORKLOADS):
        del free[: len(new)]  # the ones that dev gives its next workloads
    found: dict[str, dict[str, int]] = {}
    for stack in tour.STACKS:
        found[stack] = {name: _taken(free, reachable.first + _OFFSETS[stack]) for name in (_TRACKING, *names)}
    return found


def _needed(workloads: int, new: int) -> int:
    """Returns how many node ports the tour needs, and dev for new workloads."""
    return len(tour.STACKS) * (1 + workloads) + new


def _taken(free: list[int], first: int) -> int:
    """Removes the first port from `first` on, else the first of all, and returns it."""
    port = next((port for port in free if port >= first), free[0])
    free.remove(port)
    return port


def _text(stack: str, dev: Settings, ports: Mapping[str, int]) -> str:
    workloads = [f"    {name}: {{nodePort: {port}}}" for name, port in ports.items() if name != _TRACKING]
    return _TEXT.substitute(
        stack=stack,
        tier=tiers.resolve(stack).tier.name,
        dev=tour.DEV,
        cluster=_lines([f"    {key}: {value}" for key, value in tour.cluster(stack).items()]),
        registry=dev.images.registry,
        base=dev.images.base,
        tracking=ports[_TRACKING],
        workloads=_lines(workloads),
    )


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def without_releases(text: str) -> str:
    """Returns the text of a stack file of the tour as it was before `up` and `promote` changed it."""
    return stack_file.without_salt(stack_file.without_releases(text))


def with_releases_of(text: str, before: str) -> str:
    """Returns `text` with the releases and the salt of `before`."""
    for workload, block in stack_file.releases(before).items():
        text = stack_file.with_releases(text, workload, block)
    line = stack_file.salt(before)
    return stack_file.with_salt(text, line) if line else text


def is_unedited(text: str, stack: str) -> bool:
    """Returns whether a stack file has the content that `modelstack tour` would write now, releases and salt aside."""
    try:
        return without_releases(text) == texts(loading.load(stack_file.path_of(tour.DEV)))[stack]
    except UserError:
        return False  # the file or that of dev is invalid: the file counts as edited, and stays


def clean(stack: str) -> str:
    """Removes what is left of a stack of the tour that is destroyed. Returns what was done; empty if there was nothing to do.

    Deletes the stack file, which `modelstack tour` writes again. An edited file stays, without the releases and the salt: their
    models were in the environment's own MLflow.
    """
    file = stack_file.path_of(stack)
    if not file.exists():
        return ""
    text = stack_file.read(file)
    if is_unedited(text, stack):
        file.unlink()
        return f"{file.name} is deleted. `modelstack tour` writes it again."
    if (after := without_releases(text)) != text:
        stack_file.write(file, after)
    return f"{file.name} stays, because it was edited. Its releases are removed."
