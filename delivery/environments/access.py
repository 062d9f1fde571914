"""A stack with what commands need of it: outputs, cluster, model registry, image builder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from clients import container_registry
from delivery.environments import outputs
from delivery.releases.revision import person, revision
from delivery.stacks import stack_file
from infra.promotion import requirements
from infra.settings import loading

if TYPE_CHECKING:
    from clients.kubernetes import Cluster
    from clients.model_registry import Models
    from delivery.environments.outputs import Outputs
    from delivery.releases.releaser import Releaser
    from delivery.stacks.stack import Stack
    from delivery.training.training_runs import Trainer
    from infra.settings.model import Settings


@dataclass(frozen=True)
class Access:
    """One stack that is up, at least in part. What it gives is read once."""

    stack: Stack

    @classmethod
    def to(cls, name: str) -> Access:
        """Opens a stack that exists."""
        loading.load(stack_file.path_of(name))
        from delivery.stacks.stack import Stack

        return cls(Stack(name))

    @property
    def settings(self) -> Settings:
        """What the stack file says now."""
        return loading.load(stack_file.path_of(self.stack.name))

    @cached_property
    def outputs(self) -> Outputs:
        return outputs.read(self.stack.name, self.stack.outputs())

    @cached_property
    def models(self) -> Models:
        from clients.model_registry import Models

        return Models(self.outputs.tracking)

    @cached_property
    def evidence(self) -> Models:
        """The model registry in which this stack's releases were made: its own, or that of the stack they come from."""
        origin = requirements.origin(self.stack.name)
        return self.models if origin == self.stack.name else Access.to(origin).models

    @cached_property
    def cluster(self) -> Cluster:
        from clients.kubernetes import Cluster

        found = self.settings.cluster
        if found.kind == "existing":
            return Cluster.of_file(found.kubeconfig, found.context)
        return Cluster(self.outputs.kubeconfig)

    def trainer(self, workload: str, version: int | None = None) -> Trainer:
        """What trains a workload, or back-tests one of its registered versions."""
        from delivery.training.training_runs import Trainer

        output = outputs.training_of(self.stack.name, self.outputs, workload)
        return Trainer(
            workload=workload,
            cluster=self.cluster,
            output=output,
            revision=revision(),
            trainer=person(),
            version=version,
        )

    def releaser(self) -> Releaser:
        from delivery.releases.releaser import Releaser
        from local.images import Builder

        address = self.outputs.registry
        return Releaser(
            stack=self.stack.name,
            file=stack_file.path_of(self.stack.name),
            models=self.models,
            builder=Builder(),
            registry=address,
            serving_image=self.outputs.serving_image,
            pushed=lambda repository, tag: container_registry.digest_of(address, repository, tag),
        )
