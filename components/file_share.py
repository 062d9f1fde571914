"""A folder that many pods read and write at once."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import core

from components.objects import name_of


@dataclass(frozen=True, kw_only=True)
class FileShareArgs:
    """Where a share is, and how big."""

    namespace: Input[str]
    size: str
    storage_class: str | None = None
    """One that gives ReadWriteMany; None: the cluster's default."""
    protect: bool = False
    """Whether the engine refuses to delete it, and what is on it."""


class FileShare(pulumi.ComponentResource):
    """A ReadWriteMany volume claim of the component's name."""

    claim: Output[str]

    def __init__(self, name: str, args: FileShareArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:file_share:FileShare", name, None, opts)
        claim = core.v1.PersistentVolumeClaim(
            f"{name}-claim",
            metadata={
                "name": name,
                "namespace": args.namespace,
                # A class that binds when the first pod comes would never be ready before that pod is declared.
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
