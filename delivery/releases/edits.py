"""Edits of a workload's releases in a stack file: promotion, canary, shadow, approval and rollback, as pure functions.

Each function takes the workload's block as plain YAML and returns a new block. The typed form of a block is
`infra.settings.releases.WorkloadReleases`. The functions do not check the promotion rules: `infra.promotion.rules` decides
whether an environment may serve the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Block = dict[str, Any]  # YAML
RETAINED: Final = 3
"""How many releases a stack file retains for a rollback, besides the served ones."""


def versions(block: Mapping[str, Any] | None) -> dict[int, Block]:
    """Returns the retained releases, by version."""
    return {int(release["version"]): release for release in (block or {}).get("versions", [])}


def with_version(block: Block | None, release: Block) -> Block:
    """Returns the block with an added or replaced release. An identical release keeps its approval."""
    retained = versions(block)
    previous = retained.get(release["version"], {})
    approval = previous.get("approval")
    if approval and "approval" not in release and _unapproved(previous) == _unapproved(release):
        release = {**release, "approval": approval}
    return _with_versions(block or {}, retained | {release["version"]: release})


def with_stable(block: Block | None, release: Block) -> Block:
    """Returns the block with the release as the stable one and no longer as canary or shadow, and prunes old releases."""
    changed = _ordered({**with_version(block, release), "stable": release["version"]})
    return pruned(_without_roles_of(changed, release["version"]))


def with_canary(block: Block, release: Block, percent: int) -> Block:
    """Returns the block with the release as the canary for `percent` of the requests, and no longer as the shadow."""
    changed = {**with_version(block, release), "canary": {"version": release["version"], "percent": percent}}
    return _ordered(without(changed, "shadow") if changed.get("shadow") == release["version"] else changed)


def with_shadow(block: Block, release: Block) -> Block:
    """Returns the block with the release as the shadow."""
    return _ordered({**with_version(block, release), "shadow": release["version"]})


def without(block: Block, role: str) -> Block:
    """Returns the block without its canary or without its shadow."""
    return {key: value for key, value in block.items() if key != role}


def rolled_back(block: Block) -> Block:
    """Returns the block with the newest release that is older than the stable one as the stable one.

    If that release is the canary or the shadow, it loses this role. Everything else stays, so the usual diff is one line.

    Raises:
        UserError: no retained release is older than the stable one.
    """
    stable = int(block["stable"])
    older = [version for version in versions(block) if version < stable]
    if not older:
        raise UserError(
            "There is no earlier release to roll back to.",
            found=f"version {stable} is the oldest release in the stack file",
            fix="promote an older version instead",
        )
    return {**_without_roles_of(block, max(older)), "stable": max(older)}


def approved(block: Block, version: int, approval: Block) -> Block:
    """Returns the block with an approval added to the release of a version."""
    retained = versions(block)
    return _with_versions(block, retained | {version: {**retained[version], "approval": approval}})


def pruned(block: Block) -> Block:
    """Returns the block with the served releases and the `RETAINED` newest others; older releases are removed."""
    retained, served = versions(block), set(_served(block))
    others = sorted(version for version in retained if version not in served)[-RETAINED:]
    remaining = {version: release for version, release in retained.items() if version in served or version in others}
    return _with_versions(block, remaining)


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


def _with_versions(block: Block, releases: Mapping[int, Block]) -> Block:
    return _ordered({**block, "versions": [releases[version] for version in sorted(releases)]})


def _ordered(block: Block) -> Block:
    """Returns the block with its keys in the order for readers: roles first, then the releases."""
    return {key: block[key] for key in ("stable", "canary", "shadow", "versions") if key in block}
