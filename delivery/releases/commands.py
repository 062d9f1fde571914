"""The commands about releases: release, promote, canary, shadow, approve, rollback, verify, key."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from clients import container_registry
from common import paths
from common.errors import UserError
from delivery.console.progress import reporter
from delivery.environments.environment import Environment, is_up, origin_registry
from delivery.releases import edits
from delivery.releases.promoter import Promoter, verify
from delivery.releases.release_command import ReleasePlan
from delivery.releases.stack_editor import find_workload, read_releases
from delivery.stacks import lock
from infra.promotion import requirements
from infra.settings.releases import CANARY, SHADOW, Release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clients.model_registry import ModelRegistry
    from delivery.releases.promoter import Candidate
    from delivery.releases.release_command import ReleaseCommand
    from delivery.releases.stack_editor import StackEdit, StackEditor


def release(stack: str, workload: str, version: int | None, *, dry_run: bool) -> None:
    """Releases a version into a stack file."""
    from delivery.releases.releaser import releaser_of

    with reporter("release") as progress, lock.exclusive(f"release {workload}"):
        changes = releaser_of(Environment.open(stack)).release(workload, version, progress, dry_run=dry_run)
    if not changes:
        print("Released already: nothing changes.")
        return
    print(changes)
    if dry_run:
        print("Nothing was built or written. The image's digest is known once it is built.")
    else:
        print(f'Next: eval "$(modelstack env)" && pulumi up --stack {stack}      (or `make up`)')


def promote(command: ReleaseCommand, source: str | None, version: int | None) -> None:
    """Makes a version stable."""

    def plan(editor: StackEditor) -> ReleasePlan:
        promoter, registry = _promoter(editor, source)
        found = promoter.from_source(version)
        return ReleasePlan(
            edit=promoter.promote(found),
            # Also a model that the stack retains is looked for: it may have been lost.
            copy=lambda: _copy(promoter, found, registry, model=True),
            following=_approval_next(editor, found),
        )

    command.run(plan)


def canary(command: ReleaseCommand, version: int | None, percent: int | None, *, abort: bool) -> None:
    """Gives a version part of the requests, changes that part, or ends the canary."""
    if abort:
        _end(command, CANARY)
        return

    def plan(editor: StackEditor) -> ReleasePlan:
        running = editor.require_block().get(CANARY)
        if percent is None:
            what = "How much of the traffic is the canary to get?"
            raise UserError(what, example="--traffic 10", fix="say so, or give --abort")
        promoter, registry = _promoter(editor, None)
        found = promoter.retained_or_from_source(running["version"] if version is None and running else version)
        return _variant_plan(promoter, found, registry, promoter.canary(found, percent))

    command.run(plan)


def shadow(command: ReleaseCommand, version: int | None, *, abort: bool) -> None:
    """Gives a version a copy of every request, or ends the shadow."""
    if abort:
        _end(command, SHADOW)
        return

    def plan(editor: StackEditor) -> ReleasePlan:
        promoter, registry = _promoter(editor, None)
        found = promoter.retained_or_from_source(version)
        return _variant_plan(promoter, found, registry, promoter.shadow(found))

    command.run(plan)


def rollback(command: ReleaseCommand) -> None:
    """Goes back to the release before."""
    command.run(lambda editor: ReleasePlan(edit=editor.edit(edits.rolled_back(editor.require_block()))))


def approve(command: ReleaseCommand, version: int, file: Path) -> None:
    """Approves a release that the stack file retains. Its evidence is verified first: nobody signs what was not checked."""
    from delivery.releases import approval_keys

    key = approval_keys.read(file)

    def plan(editor: StackEditor) -> ReleasePlan:
        kept = editor.retained_release(version)
        verify(editor.name, kept, origin_registry(editor.stack))
        found = Release.model_validate({name: value for name, value in kept.items() if name != "approval"})
        made = key.approve(editor.stack, editor.workload, found)
        # Other versions that are served may still wait for their approval.
        return ReleasePlan(edit=editor.edit(edits.approved(editor.require_block(), version, made), approval_later=True))

    command.run(plan)


def check(stack: str, workload: str) -> None:
    """Checks that every release which a stack file retains says what its run recorded."""
    releases = read_releases(stack, find_workload(workload))
    releases.require_block()
    registry = origin_registry(stack)
    for version, found in releases.versions.items():
        verify(workload, found, registry)
        print(f"{workload} version {version}: report {found['evidence']['report']} is what run {found['run']} recorded.")


def key(name: str | None, file: Path | None, workload: str | None) -> None:
    """Makes a key, or shows the one there is, and lists it for a workload."""
    from delivery.releases import approval_keys
    from delivery.releases.revision import current_user

    path = file or approval_keys.default_file()
    found = approval_keys.read(path) if path.exists() and name is None else approval_keys.make(name or current_user(), path)
    print(f"{found.name}  {found.public}\n  its secret half is in {path}: keep it to yourself")
    if workload is not None:
        listed = approval_keys.list_for(find_workload(workload).name, found)
        print(f"  listed in {listed.relative_to(paths.CHECKOUT)}: commit it, and have it reviewed")


def _promoter(editor: StackEditor, source: str | None) -> tuple[Promoter, Callable[[], ModelRegistry]]:
    """What takes releases into the stack of the editor, and what opens, once, the registry that their evidence is in.

    Raises:
        UserError: releases are made in that stack, and are not promoted to it.
    """
    origin = source or requirements.for_stack(editor.stack).source
    if origin is None:
        fix = f"modelstack release {editor.name} --stack {editor.stack}"
        raise UserError(f"Releases are made in {editor.stack}, not promoted to it.", fix=fix)

    @cache
    def registry() -> ModelRegistry:
        return origin_registry(origin)

    there = read_releases(origin, editor.workload)
    return Promoter(target=editor, source=there, evidence=registry, copy_image=container_registry.copy_image), registry


def _variant_plan(
    promoter: Promoter, candidate: Candidate, registry: Callable[[], ModelRegistry], edit: StackEdit
) -> ReleasePlan:
    return ReleasePlan(
        edit=edit,
        # About a release that the stack retains no model registry is asked: its traffic can be moved while MLflow is down.
        copy=lambda: _copy(promoter, candidate, registry, model=not candidate.retained),
        following=_approval_next(promoter.target, candidate),
    )


def _end(command: ReleaseCommand, role: str) -> None:
    command.run(lambda editor: ReleasePlan(edit=editor.edit(edits.without(editor.require_block(), role), approval_later=True)))


def _copy(promoter: Promoter, candidate: Candidate, registry: Callable[[], ModelRegistry], *, model: bool) -> None:
    """Copies what the release needs in its stack: the image and, if wanted, model, run and evidence."""
    promoter.with_image(candidate)
    if model:
        _copy_model(promoter.target.stack, promoter.target.name, candidate, registry)


def _copy_model(stack: str, workload: str, candidate: Candidate, registry: Callable[[], ModelRegistry]) -> None:
    from delivery.releases import model_transfer

    if not is_up(stack):
        print(f"{stack} is not up yet: its MLflow gets the model with the next `modelstack promote`.", file=sys.stderr)
        return
    source, target = registry(), Environment.open(stack).model_registry
    model = source.version(workload, candidate.version)
    if model is not None and (number := model_transfer.copy_version(source, target, model)):
        print(f"{workload} v{model.version} is in {stack}'s MLflow, as version {number} there.", file=sys.stderr)


def _approval_next(editor: StackEditor, candidate: Candidate) -> str:
    """The command that comes next if the stack asks for an approval that is not there yet; else empty."""
    if not requirements.for_stack(editor.stack).approval or "approval" in editor.versions.get(candidate.version, {}):
        return ""
    return f"somebody else approves: modelstack approve {editor.name} --version {candidate.version} --stack {editor.stack}"
