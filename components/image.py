"""An image of ours: built from this checkout, pushed once, and known by its digest from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_docker as docker
from pulumi import Output, ResourceOptions

if TYPE_CHECKING:
    from components.container_registry import Registry

_TAG: Final = "current"
"""For people who look into the registry. Nothing pulls by it."""


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """What to build, on what, and where to put it."""

    registry: Registry
    dockerfile: str
    """Path in the checkout. `<dockerfile>.dockerignore` beside it lists what of the checkout the build may see."""
    base: str
    """The image it is built on."""


class Image(pulumi.ComponentResource):
    """An image. Its repository in the registry has the component's name."""

    ref: Output[str]
    """`<registry>/<repository>@sha256:...`"""

    def __init__(self, name: str, args: ImageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:image:Image", name, None, opts)
        image = docker.Image(
            f"{name}-image",
            image_name=args.registry.address.apply(lambda address: f"{address}/{name}:{_TAG}"),
            build={"context": ".", "dockerfile": args.dockerfile, "args": {"BASE": args.base}},
            opts=ResourceOptions(parent=self, depends_on=[*args.registry.served_by]),
        )
        self.ref = image.repo_digest
        self.register_outputs({"ref": self.ref})
