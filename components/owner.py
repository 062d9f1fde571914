"""The owner of an environment: a random id in the state of its stack, and a copy in the cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_random as random
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import core

from common.naming import OWNER_COPY, OWNER_ID
from components.objects import labels, name_of


@dataclass(frozen=True, kw_only=True)
class OwnerArgs:
    """Where the copy of the id is, and what it says for people."""

    namespace: Input[str]
    config_map: str
    """The name of the ConfigMap."""
    backend: str
    """The URL of the owner's backend, for people. It is written once: a colleague may have another URL of the same backend, and
    that is no change."""
    project: str
    stack: str


class Owner(pulumi.ComponentResource):
    """The owner. It is not protected: it holds no data, and `modelstack up --adopt` makes a new one."""

    id: Output[str]

    def __init__(self, name: str, args: OwnerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:owner:Owner", name, None, opts)
        identifier = random.RandomUuid(OWNER_ID, opts=ResourceOptions(parent=self))
        copy = core.v1.ConfigMap(
            OWNER_COPY,
            metadata={"name": args.config_map, "namespace": args.namespace, "labels": labels(name)},
            data={"id": identifier.result, "backend": args.backend, "project": args.project, "stack": args.stack},
            opts=ResourceOptions(parent=self, ignore_changes=["data.backend"]),
        )
        # The id counts only if the cluster has it, too.
        self.id = name_of(copy).apply(lambda _: identifier.result)
        self.register_outputs({"id": self.id})
