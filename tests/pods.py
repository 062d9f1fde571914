"""Finds pods in what a program declared, whatever makes them."""

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
    """The spec of the pods that a workload resource makes."""
    template = revealed(resource.inputs)
    for key in _TEMPLATES[resource.type.rpartition(":")[2]]:
        template = template[key]
    return template["spec"]


def container_of(resource: Resource) -> dict[str, Any]:
    """The only container of those pods."""
    (container,) = pod_of(resource)["containers"]
    return container


def pods(declared: Declared) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Every resource that makes pods, with their spec."""
    for kind in _TEMPLATES:
        for resource in declared.all(kind):
            yield resource, pod_of(resource)
    for resource in declared.all("SeldonDeployment"):
        for predictor in revealed(resource.inputs)["spec"]["predictors"]:
            for component in predictor["componentSpecs"]:
                yield resource, component["spec"]


def environment_of(container: dict[str, Any]) -> dict[str, Any]:
    """The variables of a container: plain values, or where they come from."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container.get("env", [])}
