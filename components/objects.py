"""The names and labels of Kubernetes objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from pulumi import Output
    from pulumi_kubernetes.meta.v1.outputs import ObjectMeta

    class Object(Protocol):
        """Any Kubernetes object."""

        @property
        def metadata(self) -> Output[ObjectMeta]:
            """The name, the labels and other metadata of the object."""
            ...


def name_of(resource: Object) -> Output[str]:
    """Returns an object's name in the cluster. A resource that uses the name depends on the object."""
    return resource.metadata.apply(_name)


def _name(metadata: ObjectMeta) -> str:
    assert metadata.name is not None, "the API server names every object"
    return metadata.name


def labels(name: str) -> dict[str, str]:
    """Returns the labels of all objects of one application."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "modelstack"}


def selector(name: str) -> dict[str, str]:
    """Returns the labels that select an application's pods: a subset of its labels, because selectors are immutable."""
    return {"app.kubernetes.io/name": name}
