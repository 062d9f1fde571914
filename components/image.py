"""An image that is built from this checkout and pushed to the container registry. All users refer to it by digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_docker as docker
from pulumi import Output, ResourceOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.container_registry import PushTarget

_TAG: Final = "current"
"""A tag for people who browse the container registry. No pod pulls by it."""


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """The Dockerfile, the base image and the container registry of an image."""

    registry: PushTarget
    dockerfile: str
    """Path in the checkout. The file `<dockerfile>.dockerignore` selects the files of the checkout for the build context."""
    base: str
    """The base image."""
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further build arguments, by name."""


class Image(pulumi.ComponentResource):
    """An image. Its repository in the container registry has the component's name."""

    ref: Output[str]
    """`<registry>/<repository>@sha256:...`"""

    def __init__(self, name: str, args: ImageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:image:Image", name, None, opts)
        image = docker.Image(
            f"{name}-image",
            image_name=args.registry.address.apply(lambda address: f"{address}/{name}:{_TAG}"),
            build={"context": ".", "dockerfile": args.dockerfile, "args": {"BASE": args.base, **args.arguments}},
            opts=ResourceOptions(parent=self, depends_on=[*args.registry.served_by]),
        )
        self.ref = image.repo_digest
        self.register_outputs({"ref": self.ref})
