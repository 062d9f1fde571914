"""An environment as the commands use it: its settings, outputs, cluster and model registry. It need not be up completely."""

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
    """An environment. Outputs, cluster and model registry are looked up at their first use and cached."""

    name: str
    """The name of the stack."""

    @classmethod
    def open(cls, name: str) -> Environment:
        """Returns the environment of a stack, without a check that it is up: reading `outputs` raises if it is not.

        Raises:
            UserError: the stack file is missing or invalid.
        """
        loading.load(stack_file.path_of(name))
        return cls(name)

    @property
    def settings(self) -> Settings:
        """The settings in the stack file, read again at each use."""
        return loading.load(stack_file.path_of(self.name))

    @cached_property
    def outputs(self) -> Outputs:
        """The outputs of the stack's last update."""
        return outputs.parse(self.name, stack_outputs.read(self.name))

    @cached_property
    def model_registry(self) -> ModelRegistry:
        """The model registry of the environment's own MLflow."""
        from clients.model_registry import ModelRegistry

        tracking = self.outputs.tracking
        return ModelRegistry.connect(tracking.url, tracking.username, tracking.password)

    @cached_property
    def origin_registry(self) -> ModelRegistry:
        """The model registry of the stack in which the environment's releases are created.

        This is the environment's own model registry, or that of the first stack in the promotion order.
        """
        origin = requirements.origin(self.name)
        return self.model_registry if origin == self.name else Environment.open(origin).model_registry

    @cached_property
    def cluster(self) -> KubernetesClient:
        """A client for the API server of the environment's cluster."""
        return self.settings.cluster.connect(lambda: self.outputs.kubeconfig)


def origin_registry(stack: str) -> ModelRegistry:
    """Returns the model registry of the stack in which a stack's releases are created. The stack itself need not be up."""
    return Environment.open(requirements.origin(stack)).model_registry


def is_up(stack: str) -> bool:
    """Returns whether a stack exists and an update of it has exported outputs."""
    return backend.has_stack(stack) and bool(stack_outputs.read(stack))
