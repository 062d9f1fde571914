"""A copy of the deployed releases in the cluster, for the day on which the stack's state is not at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import core

from common.labels import RELEASES_ANNOTATION
from components.objects import labels

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class ReleaseRecordArgs:
    """The deployed releases, and where the copy is."""

    namespace: Input[str]
    config_map: str
    """The name of the ConfigMap."""
    releases: Mapping[str, Input[Mapping[str, object]]]
    """By workload. A workload's part is written when its output resolves."""


class ReleaseRecord(pulumi.ComponentResource):
    """The copy. It is an annotation because an annotation changes in place. Changed data would replace the ConfigMap."""

    def __init__(self, name: str, args: ReleaseRecordArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:releases:ReleaseRecord", name, None, opts)
        core.v1.ConfigMap(
            f"{name}-copy",
            metadata={
                "name": args.config_map,
                "namespace": args.namespace,
                "labels": labels(name),
                "annotations": {RELEASES_ANNOTATION: Output.json_dumps(args.releases, sort_keys=True)},
            },
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})
