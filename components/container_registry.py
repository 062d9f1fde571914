"""The container registry to which images are pushed and from which pods pull them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pulumi
from pulumi import Output, ResourceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence


class PushTarget(Protocol):
    """A container registry as images use it."""

    @property
    def address(self) -> Output[str]:
        """Host, port and path prefix, without a scheme."""
        ...

    @property
    def served_by(self) -> Sequence[pulumi.Resource]:
        """The resources that must exist before images can be pushed."""
        ...


@dataclass(frozen=True, kw_only=True)
class ContainerRegistryArgs:
    """The address of a container registry and the resources that run it."""

    address: str
    """Host, port and path prefix, without a scheme."""
    served_by: Sequence[pulumi.Resource] = ()
    """The resources that must exist before the container registry answers. Empty if somebody else operates it."""


class ContainerRegistry(pulumi.ComponentResource):
    """A container registry. Image names contain its address, and images depend on the resources that run it."""

    address: Output[str]
    served_by: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: ContainerRegistryArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:registry:Registry", name, None, opts)
        self.address = Output.from_input(args.address)
        self.served_by = args.served_by
        self.register_outputs({"address": self.address})
