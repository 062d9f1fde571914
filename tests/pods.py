"""Finds the pod specs in the resources that a program declares, for every kind of resource that creates pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.harness import revealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Declared, Resource

_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def pod_of(resource: Resource) -> dict[str, Any]:
    """Returns the spec of the pods that a workload resource creates."""
    template = revealed(resource.inputs)
    for key in _TEMPLATES[resource.type.rpartition(":")[2]]:
        template = template[key]
    return template["spec"]


def container_of(resource: Resource) -> dict[str, Any]:
    """Returns the only container of the pods that a workload resource creates."""
    (container,) = pod_of(resource)["containers"]
    return container


def pods(declared: Declared) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Yields every resource that creates pods, with the spec of the pods."""
    for kind in _TEMPLATES:
        for resource in declared.all(kind):
            yield resource, pod_of(resource)
    for resource in declared.all("SeldonDeployment"):
        for predictor in revealed(resource.inputs)["spec"]["predictors"]:
            for component in predictor["componentSpecs"]:
                yield resource, component["spec"]


def environment_of(container: dict[str, Any]) -> dict[str, Any]:
    """Returns the variables of a container: the value, or the `valueFrom` object."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container.get("env", [])}
