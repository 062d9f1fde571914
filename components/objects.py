"""What Kubernetes objects of all kinds have in common."""

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
            """Its name, labels and the like."""
            ...


def name_of(resource: Object) -> Output[str]:
    """An object's name in the cluster. Whoever uses it waits for the object."""
    return resource.metadata.apply(_name)


def _name(metadata: ObjectMeta) -> str:
    assert metadata.name is not None, "the API server names every object"
    return metadata.name


def labels(name: str) -> dict[str, str]:
    """The labels of everything that belongs to one application."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "modelstack"}


def selector(name: str) -> dict[str, str]:
    """What finds an application's pods. Less than all labels: a selector can never change."""
    return {"app.kubernetes.io/name": name}
