"""Checks that a stack deploys to a target of its own tier. A stack file that names the cluster of another tier is refused.

The check compares UIDs: the name of a context is chosen by each user, and stays when a cluster is deleted and created again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from common.answers import Absent, Found, Unknown
from common.errors import UserError
from infra.tiers.model import FILE_NAME, Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from infra.live_cluster import LiveCluster
    from infra.settings.model import Settings
    from infra.tiers.model import StackTier

EMBEDDED: Final = "embedded"


class Standing(Enum):
    """How the target that a stack file names relates to the registered targets."""

    REGISTERED = auto()
    """It is a target of the stack's tier."""
    OTHER_IMAGES = auto()
    """The cluster and the namespace prefix are a target of the stack's tier, but the container registry is not."""
    MOVED = auto()
    """The stack's tier has a target with this context and prefix, but the context leads to a cluster with another UID now."""
    FOREIGN = auto()
    """The cluster and the namespace prefix are a target of another tier."""
    FOREIGN_CONTEXT = auto()
    """Another tier has a target with this context, but the context leads to a cluster with another UID now."""
    UNREGISTERED = auto()
    """No tier has a target with this cluster and this namespace prefix."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The target that a stack file names, and the registered targets that it was compared with."""

    standing: Standing
    target: Target
    """The target that the stack file names, as a target of the stack's tier."""
    related: tuple[Target, ...] = ()
    """The registered targets that decided the standing."""


def enforce(tier: StackTier, settings: Settings, live: LiveCluster) -> None:
    """Refuses a stack whose target is not registered for its tier.

    Raises:
        UserError: the target is of another tier, is not registered, or moved; or the cluster cannot be asked which one it is.
    """
    if error := refusal(tier, find(tier, settings, live)):
        raise error


def find(tier: StackTier, settings: Settings, live: LiveCluster) -> Finding | Unknown:
    """Compares the target that a stack file names with the registered targets.

    Args:
        tier: the stack with its tier.
        settings: the settings in its stack file.
        live: what the cluster says about itself.

    Returns:
        The finding; `Unknown` if the cluster could not be asked which one it is.
    """
    cluster = _cluster(settings, live)
    if isinstance(cluster, Unknown):
        return cluster
    names = {cluster.value, *([live.uid.value] if isinstance(live.uid, Found) else [])}
    target = Target(
        tier=tier.tier.name,
        cluster=cluster.value,
        namespace_prefix=settings.cluster.namespace_prefix,
        images=settings.images.registry,
        context="" if cluster.value == EMBEDDED else settings.cluster.context,
    )
    finding = _compare(tier, target, names)
    if isinstance(live.embedded_uid, Unknown) and finding.standing not in {Standing.REGISTERED, Standing.FOREIGN}:
        return live.embedded_uid  # a cluster that is in no list may be the embedded one, which is listed by that word
    return finding


def _cluster(settings: Settings, live: LiveCluster) -> Found[str] | Unknown:
    """Returns the cluster as `Target.cluster` names it."""
    created = settings.cluster.created_name
    if created and not isinstance(live.uid, Unknown):  # without its UID, it may be a target of another tier
        return Found(created)
    match live.uid:
        case Found(value=uid):
            return Found(EMBEDDED if live.embedded_uid == live.uid else uid)
        case Absent():
            where = f"context {settings.cluster.context}, namespace kube-system"
            return Unknown(where=where, reason="the namespace does not exist, so nothing identifies the cluster")
        case Unknown() as unknown:
            return unknown


def _compare(tier: StackTier, target: Target, names: Collection[str]) -> Finding:
    """Compares the target with the registered ones. `names` are all names of its cluster: the UID and the word."""

    def here(targets: Iterable[Target]) -> tuple[Target, ...]:
        return tuple(each for each in targets if each.cluster in names and each.namespace_prefix == target.namespace_prefix)

    def called(targets: Iterable[Target]) -> tuple[Target, ...]:
        return tuple(each for each in targets if target.context and each.context == target.context)

    if foreign := here(tier.foreign):
        return Finding(standing=Standing.FOREIGN, target=target, related=foreign)
    if own := here(tier.tier.targets):
        held = any(each.holds(target.images) for each in own)
        return Finding(standing=Standing.REGISTERED if held else Standing.OTHER_IMAGES, target=target, related=own)
    if own := tuple(each for each in called(tier.tier.targets) if each.namespace_prefix == target.namespace_prefix):
        return Finding(standing=Standing.MOVED, target=target, related=own)
    foreign = called(tier.foreign)
    if foreign and not any(each.cluster in names for each in foreign):
        return Finding(standing=Standing.FOREIGN_CONTEXT, target=target, related=foreign)
    return Finding(standing=Standing.UNREGISTERED, target=target)


def refusal(tier: StackTier, finding: Finding | Unknown) -> UserError | None:
    """Returns the error about a target that the stack must not deploy to; None if it may."""
    stack, name = tier.stack, tier.tier.name
    if isinstance(finding, Unknown):
        what = f"The cluster of stack {stack} could not be asked which cluster it is, so the command changes nothing there."
        return finding.error(what)
    target, related = finding.target, finding.related
    key, example, register = "cluster", "", f"modelstack target register --stack {stack}"
    found = f"{target}" if not related else f"{target}; registered for tier {related[0].tier}: {'; '.join(map(str, related))}"
    match finding.standing:
        case Standing.REGISTERED:
            return None
        case Standing.OTHER_IMAGES:
            what = f"The container registry of stack {stack} does not belong to the target of the stack."
            key, found, example = "images.registry", target.images, " or ".join(each.images for each in related)
            fix = f"write this address or one below it; if the stack is meant to use its own: {register}"
        case Standing.MOVED:
            what = f"The target of stack {stack} moved: context {target.context} leads to another cluster than at registration."
            fix = f"check your kubeconfig; if the cluster was deleted and created again: {register} --replace"
        case Standing.FOREIGN:
            what = f"The target of stack {stack} belongs to tier {related[0].tier}, but the stack is of tier {name}."
            fix = f"name the cluster and the namespace prefix of a target of tier {name}: see `modelstack target list`"
        case Standing.FOREIGN_CONTEXT:
            other = related[0].tier
            what = (
                f"Stack {stack} is of tier {name}, but its context {target.context} is that of a moved target of tier {other}."
            )
            fix = f"register the target of tier {other} again with --replace, or remove it; or give your context another name"
        case Standing.UNREGISTERED:
            what = f"The target of stack {stack} is not registered for tier {name}."
            fix = f"check that this is the right cluster, then run: {register}"
    where = f"Pulumi.{stack}.yaml, modelstack:{key}; {FILE_NAME}, [[targets]]"
    return UserError(what, where=where, found=found, example=example, fix=fix)
