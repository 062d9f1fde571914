"""The types of tiers. `infra.tiers.loading` reads them from `tiers.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError
from infra.settings.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME: Final = "infra/tiers/tiers.toml"
"""The file with the tiers, as messages name it."""


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The requirements of a tier for each release that one of its environments serves."""

    evidence: bool = False
    """Whether the release's back-test must pass the workload's gate."""
    approval: bool = False
    """Whether a person other than the release's trainer must have approved the release for the environment."""
    proven: bool = False
    """Whether the release's image must be the stable one in the source environment."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A place that the stacks of a tier may deploy to: a cluster, a namespace prefix in it, and image repositories."""

    tier: str
    cluster: str
    """The UID of the cluster's namespace `kube-system`; `embedded` for the cluster that this checkout starts; `kind:<name>` for
    a cluster that a stack creates with `kind`."""
    namespace_prefix: str
    images: str
    """The prefix of the image repositories: the address of a container registry, or a path in it. See `holds`."""
    context: str = ""
    """The name of the kubeconfig's context at registration; empty for a cluster that is not identified by its UID."""

    @property
    def place(self) -> tuple[str, str]:
        """The cluster and the namespace prefix. Only one tier may have it: another tier's environment would be overwritten."""
        return self.cluster, self.namespace_prefix

    def holds(self, registry: str) -> bool:
        """Whether the address of a container registry is the prefix of the images, or lies below it.

        The prefix `localhost` holds each port of this machine: the port of the embedded container registry is a setting.
        """
        below = f"{self.images}/", *([f"{self.images}:"] if self.images == "localhost" else [])
        return registry == self.images or registry.startswith(below)

    def __str__(self) -> str:
        """Returns the target as messages show it."""
        context = f" (context {self.context})" if self.context else ""
        prefix = f"namespace prefix {self.namespace_prefix}" if self.namespace_prefix else "no namespace prefix"
        return f"cluster {self.cluster}{context}, {prefix}, images {self.images}"


@dataclass(frozen=True, kw_only=True)
class Tier:
    """A class of environments with the same requirements, for example all environments that serve customers."""

    name: str
    source: str | None
    """The tier from which releases are promoted. None for a tier in which releases are created."""
    requirements: Requirements
    targets: tuple[Target, ...] = ()
    """The places that the tier's stacks may deploy to."""


@dataclass(frozen=True, kw_only=True)
class StackTier:
    """A stack with its tier and the stack that it gets its releases from.

    It is resolved once, where the Pulumi program or a command begins, and handed to all code that needs it.
    """

    stack: str
    tier: Tier
    source: StackTier | None
    """The stack from which releases are promoted to this one. None for a stack in which releases are created."""
    foreign: tuple[Target, ...] = ()
    """The targets of all other tiers, which this stack must not touch."""

    @property
    def requirements(self) -> Requirements:
        """The requirements of the stack's tier."""
        return self.tier.requirements

    @property
    def origin(self) -> StackTier:
        """The stack in which the releases of this stack are created: the first stack of the promotion path."""
        return self if self.source is None else self.source.origin


@dataclass(frozen=True, kw_only=True)
class Tiers:
    """The content of `tiers.toml`, validated."""

    tiers: Mapping[str, Tier]
    """The tiers by name."""
    stacks: Mapping[str, StackTier]
    """The stacks by name."""

    @property
    def targets(self) -> list[Target]:
        """The targets of all tiers."""
        return [target for tier in self.tiers.values() for target in tier.targets]

    def of(self, stack: str) -> StackTier:
        """Returns the tier of a stack.

        Raises:
            UserError: no tier lists the stack.
        """
        if stack not in self.stacks:
            raise _unlisted(stack, self.stacks)
        return self.stacks[stack]


def _unlisted(stack: str, stacks: Mapping[str, StackTier]) -> UserError:
    example = f'{stack} = {{ tier = "stage", source = "dev" }}'
    fix = nearest(stack, stacks, "add a line like this one to [stacks], with the tier of the environment, and have it reviewed")
    return UserError(
        f"Stack {stack} belongs to no tier, so nothing says what it requires of releases and where it may deploy.",
        where=f"{FILE_NAME}, [stacks]",
        found=f"the listed stacks are {', '.join(stacks) or 'none'}",
        example=example,
        fix=fix,
    )
