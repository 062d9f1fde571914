"""What promotion, canary, shadow and rollback change in a workload's releases: pure functions on what the stack file holds.

They take and give the workload's block as plain YAML, which `infra.settings.releases.WorkloadReleases` types. None of them
knows a rule of promotion: whether an environment may serve the outcome is for `infra.promotion.rules` to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Block = dict[str, Any]  # YAML
KEPT: Final = 3
"""Releases that are kept to go back to, beside those that are served."""


def versions(block: Mapping[str, Any] | None) -> dict[int, Block]:
    """The releases that are kept, by version."""
    return {int(release["version"]): release for release in (block or {}).get("versions", [])}


def with_version(block: Block | None, release: Block) -> Block:
    """The block with a release among those that are kept; the approval of the very same release stays."""
    kept = versions(block)
    known = kept.get(release["version"], {})
    approval = known.get("approval")
    if approval and "approval" not in release and _unapproved(known) == _unapproved(release):
        release = {**release, "approval": approval}
    return _with(block or {}, kept | {release["version"]: release})


def with_stable(block: Block | None, release: Block) -> Block:
    """The block with a release as the stable one. It is no canary or shadow any longer; old ones that nobody needs go."""
    made = _ordered({**with_version(block, release), "stable": release["version"]})
    return pruned(_without_roles_of(made, release["version"]))


def with_canary(block: Block, release: Block, percent: int) -> Block:
    """The block with a release as the canary that gets `percent` of the requests. It is no shadow any longer."""
    made = {**with_version(block, release), "canary": {"version": release["version"], "percent": percent}}
    return _ordered(without(made, "shadow") if made.get("shadow") == release["version"] else made)


def with_shadow(block: Block, release: Block) -> Block:
    """The block with a release as the shadow."""
    return _ordered({**with_version(block, release), "shadow": release["version"]})


def without(block: Block, role: str) -> Block:
    """The block without its canary or its shadow."""
    return {key: value for key, value in block.items() if key != role}


def rolled_back(block: Block) -> Block:
    """The block with the release before the stable one as the stable one. Nothing else changes, so that it is one line.

    Raises:
        UserError: there is none before.
    """
    stable = int(block["stable"])
    older = [version for version in versions(block) if version < stable]
    if not older:
        raise UserError(
            "There is no release to go back to.",
            found=f"version {stable} is the oldest that the stack file keeps",
            fix="promote an older version instead",
        )
    return {**_without_roles_of(block, max(older)), "stable": max(older)}


def approved(block: Block, version: int, approval: Block) -> Block:
    """The block with an approval under one release."""
    kept = versions(block)
    return _with(block, kept | {version: {**kept[version], "approval": approval}})


def pruned(block: Block) -> Block:
    """The block without the oldest releases: those that are served stay, and the newest others to go back to."""
    kept, served = versions(block), set(_served(block))
    others = sorted(version for version in kept if version not in served)[-KEPT:]
    return _with(block, {version: kept[version] for version in kept if version in served or version in others})


def _served(block: Block) -> Iterator[int]:
    yield block["stable"]
    if canary := block.get("canary"):
        yield canary["version"]
    if shadow := block.get("shadow"):
        yield shadow


def _without_roles_of(block: Block, version: int) -> Block:
    if block.get("canary") and block["canary"]["version"] == version:
        block = without(block, "canary")
    return without(block, "shadow") if block.get("shadow") == version else block


def _unapproved(release: Block) -> Block:
    return {key: value for key, value in release.items() if key != "approval"}


def _with(block: Block, kept: Mapping[int, Block]) -> Block:
    return _ordered({**block, "versions": [kept[version] for version in sorted(kept)]})


def _ordered(block: Block) -> Block:
    """The block with its keys in the order in which a reader wants them."""
    return {key: block[key] for key in ("stable", "canary", "shadow", "versions") if key in block}
