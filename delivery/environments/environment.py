"""An environment as the commands use it: its settings, outputs, cluster and model registry. It need not be up completely."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from delivery.environments import outputs
from delivery.stacks import backend, stack_file, stack_outputs, tiers_file
from infra import live_cluster
from infra.settings import loading
from infra.tiers import targets

if TYPE_CHECKING:
    from clients.kubernetes import KubernetesClient
    from clients.model_registry import ModelRegistry
    from delivery.environments.outputs import Outputs
    from infra.settings.model import Settings
    from infra.tiers.model import StackTier


@dataclass(frozen=True)
class Environment:
    """An environment. Outputs, cluster and model registry are looked up at their first use and cached."""

    tier: StackTier
    """The stack with its tier and its source."""

    @classmethod
    def open(cls, name: str) -> Environment:
        """Returns the environment of a stack, without a check that it is up: reading `outputs` raises if it is not.

        Raises:
            UserError: the stack file is missing or invalid, or no tier lists the stack.
        """
        loading.load(stack_file.path_of(name))
        return cls(tiers_file.resolve(name))

    @property
    def name(self) -> str:
        """The name of the stack."""
        return self.tier.stack

    def check_target(self) -> None:
        """Checks that the environment may be changed. Each command that writes to it calls this first.

        Raises:
            UserError: its target is not registered for the stack's tier, or the cluster cannot be asked which one it is.
        """
        settings = self.settings
        targets.enforce(self.tier, settings, live_cluster.read(settings))

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
        return self.model_registry if self.tier.source is None else origin_registry(self.tier)

    @cached_property
    def cluster(self) -> KubernetesClient:
        """A client for the API server of the environment's cluster."""
        from clients.kubernetes import KubernetesClient

        cluster = self.settings.cluster
        if cluster.kind == "existing":
            return KubernetesClient.from_file(cluster.kubeconfig, cluster.context)
        return KubernetesClient.from_kubeconfig(self.outputs.kubeconfig)


def origin_registry(tier: StackTier) -> ModelRegistry:
    """Returns the model registry of the stack in which a stack's releases are created. The stack itself need not be up."""
    return Environment(tier.origin).model_registry


def is_up(stack: str) -> bool:
    """Returns whether a stack exists and an update of it has exported outputs."""
    return backend.has_stack(stack) and bool(stack_outputs.read(stack))
