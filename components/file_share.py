"""A volume that several pods read and write at the same time."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import core

from components.objects import name_of


@dataclass(frozen=True, kw_only=True)
class FileShareArgs:
    """The namespace and the size of a file share."""

    namespace: Input[str]
    size: str
    storage_class: str | None = None
    """A class that supports ReadWriteMany. None: the cluster's default class."""
    protect: bool = False
    """Whether the engine refuses to delete the share and its data."""


class FileShare(pulumi.ComponentResource):
    """A ReadWriteMany volume claim. The claim has the component's name."""

    claim: Output[str]

    def __init__(self, name: str, args: FileShareArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:file_share:FileShare", name, None, opts)
        claim = core.v1.PersistentVolumeClaim(
            f"{name}-claim",
            metadata={
                "name": name,
                "namespace": args.namespace,
                # With a class that binds on first use, the claim becomes ready only after a pod that uses it is created, and
                # the engine creates that pod after the claim. Waiting for the claim would never end.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec={
                "access_modes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": args.size}},
                "storage_class_name": args.storage_class,
            },
            opts=ResourceOptions(parent=self, protect=args.protect),
        )
        self.claim = name_of(claim)
        self.register_outputs({"claim": self.claim})
