"""Where images are pushed to and pulled from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi import Output, ResourceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """A registry and what serves it."""

    address: str
    """Host, port and path below which images are pushed."""
    served_by: Sequence[pulumi.Resource] = ()
    """What must exist before the registry answers; nothing where others run it."""


class Registry(pulumi.ComponentResource):
    """A registry. Images carry its address and wait for what serves it."""

    address: Output[str]
    served_by: Sequence[pulumi.Resource]

    def __init__(self, name: str, args: RegistryArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:registry:Registry", name, None, opts)
        self.address = Output.from_input(args.address)
        self.served_by = args.served_by
        self.register_outputs({"address": self.address})
