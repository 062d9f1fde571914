"""One environment that is up, at least in part, as the commands use it: its settings, outputs, cluster and model registry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from delivery.environments import outputs
from delivery.stacks import backend, stack_file, stack_outputs
from infra.promotion import requirements
from infra.settings import loading

if TYPE_CHECKING:
    from clients.kubernetes import KubernetesClient
    from clients.model_registry import ModelRegistry
    from delivery.environments.outputs import Outputs
    from infra.settings.model import Settings


@dataclass(frozen=True)
class Environment:
    """One environment. Outputs, cluster and model registry are looked up at their first use and kept."""

    name: str
    """Of the stack."""

    @classmethod
    def open(cls, name: str) -> Environment:
        """The environment of a stack. Whether it is up shows when its outputs are read.

        Raises:
            UserError: the stack file has problems.
        """
        loading.load(stack_file.path_of(name))
        return cls(name)

    @property
    def settings(self) -> Settings:
        """What the stack file says now."""
        return loading.load(stack_file.path_of(self.name))

    @cached_property
    def outputs(self) -> Outputs:
        """What the stack's program exported at the last update."""
        return outputs.read(self.name, stack_outputs.read(self.name))

    @cached_property
    def model_registry(self) -> ModelRegistry:
        """The environment's own MLflow."""
        from clients.model_registry import ModelRegistry

        tracking = self.outputs.tracking
        return ModelRegistry.connect(tracking.url, tracking.username, tracking.password)

    @cached_property
    def origin_registry(self) -> ModelRegistry:
        """The model registry in which the environment's releases are made: its own, or that of the first stack on their way."""
        origin = requirements.origin(self.name)
        return self.model_registry if origin == self.name else Environment.open(origin).model_registry

    @cached_property
    def cluster(self) -> KubernetesClient:
        """The API server of the environment's cluster."""
        from clients.kubernetes import KubernetesClient

        found = self.settings.cluster
        if found.kind == "existing":
            return KubernetesClient.from_file(found.kubeconfig, found.context)
        return KubernetesClient.from_kubeconfig(self.outputs.kubeconfig)


def origin_registry(stack: str) -> ModelRegistry:
    """The model registry in which a stack's releases are made, whether the stack itself is up or not."""
    return Environment.open(requirements.origin(stack)).model_registry


def is_up(stack: str) -> bool:
    """Whether a stack exists and an update of it has exported outputs."""
    return backend.has_stack(stack) and bool(stack_outputs.read(stack))
