"""The commands about releases: release, promote, canary, shadow, approve, rollback, verify, key."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from clients import container_registry
from common import paths
from common.errors import UserError
from common.roles import CANARY, SHADOW
from delivery.console.progress import reporter
from delivery.environments.environment import Environment, is_up, origin_registry
from delivery.releases import edits
from delivery.releases.promoter import Promoter, verify
from delivery.releases.release_command import ReleasePlan
from delivery.releases.stack_editor import find_workload, read_releases
from delivery.stacks import lock, tiers_file
from delivery.stacks.engine_errors import up_command
from infra.settings import tour
from infra.settings.releases import Release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clients.model_registry import ModelRegistry
    from delivery.releases.promoter import SelectedRelease
    from delivery.releases.release_command import ReleaseCommand
    from delivery.releases.stack_editor import StackEdit, StackEditor
    from infra.tiers.model import StackTier


def release(stack: str, workload: str, version: int | None, *, dry_run: bool) -> None:
    """Releases a version: builds its image and writes the release to the stack file."""
    from delivery.releases.releaser import releaser_of

    with reporter("release") as progress, lock.exclusive(f"release {workload}"):
        environment = Environment.open(stack)
        if not dry_run:
            environment.check_target()
        changes = releaser_of(environment).release(workload, version, progress, dry_run=dry_run)
    if not changes:
        print("This version is already released: nothing changes.")
        return
    print(changes)
    if dry_run:
        print("Nothing was built or written. The digest of the image is known after the build.")
    else:
        print(f'Next: eval "$(modelstack env)" && pulumi up --stack {stack}      (or `{up_command(stack)}`)')


def promote(command: ReleaseCommand, source: str | None, version: int | None) -> None:
    """Makes a version stable in the environment of the command."""

    def plan(editor: StackEditor) -> ReleasePlan:
        promoter, registry = _promoter(editor, tiers_file.resolve(source) if source is not None else editor.tier.source)
        selected = promoter.from_source(version)
        return ReleasePlan(
            edit=promoter.promote(selected),
            # The model is copied also for a retained release: the model may have been lost in the meantime.
            copy=lambda: _copy(promoter, selected, registry, model=True),
            next_step=_approval_command(editor, selected),
        )

    command.run(plan)


def canary(command: ReleaseCommand, version: int | None, percent: int | None, *, abort: bool) -> None:
    """Sends a share of the requests to a version, changes that share, or ends the canary."""
    if abort:
        _end(command, CANARY)
        return

    def plan(editor: StackEditor) -> ReleasePlan:
        running = editor.require_block().get(CANARY)
        if percent is None:
            what = "The command does not say which share of the requests the canary gets."
            raise UserError(what, example="--traffic 10", fix="add --traffic, or end the canary with --abort")
        promoter, registry = _promoter(editor, editor.tier.source)
        selected = promoter.retained_or_from_source(running["version"] if version is None and running else version)
        return _variant_plan(promoter, selected, registry, promoter.canary(selected, percent))

    command.run(plan)


def shadow(command: ReleaseCommand, version: int | None, *, abort: bool) -> None:
    """Sends a copy of every request to a version, or ends the shadow."""
    if abort:
        _end(command, SHADOW)
        return

    def plan(editor: StackEditor) -> ReleasePlan:
        promoter, registry = _promoter(editor, editor.tier.source)
        selected = promoter.retained_or_from_source(version)
        return _variant_plan(promoter, selected, registry, promoter.shadow(selected))

    command.run(plan)


def rollback(command: ReleaseCommand) -> None:
    """Makes the previous release stable again."""
    command.run(lambda editor: ReleasePlan(edit=editor.edit(edits.rolled_back(editor.require_block()))))


def approve(command: ReleaseCommand, version: int, file: Path) -> None:
    """Approves a release that the stack file retains. The evidence is verified first, so nobody signs an unverified release."""
    from delivery.releases import approval_keys

    key = approval_keys.read(file)

    def plan(editor: StackEditor) -> ReleasePlan:
        retained = editor.retained_release(version)
        verify(editor.name, retained, origin_registry(editor.tier))
        release = Release.model_validate({name: value for name, value in retained.items() if name != "approval"})
        approval = key.approve(editor.stack, editor.workload, release)
        # Other served versions may still lack their approval.
        return ReleasePlan(edit=editor.edit(edits.approved(editor.require_block(), version, approval), approval_later=True))

    command.run(plan)


def check(stack: str, workload: str) -> None:
    """Checks every release in a stack file against the data that its run recorded. Stops at the first difference."""
    declaration = find_workload(workload)
    releases = read_releases(tiers_file.resolve(stack), declaration)
    releases.require_block()
    registry = origin_registry(releases.tier)
    for version, release in releases.versions.items():
        verify(workload, release, registry)
        print(f"{workload} version {version} matches its run {release['run']}: report {release['evidence']['report']}.")


def key(name: str | None, file: Path | None, workload: str | None, *, for_tour: bool = False) -> None:
    """Creates an approver key or shows the existing one, and adds the key to the approvers of a workload if one is given.

    With `for_tour`, key and list are those of the tour: git ignores them, and no other stack accepts the approvals.
    """
    from delivery.releases import approval_keys
    from delivery.releases.user import current_user

    path = file or (approval_keys.tour_file() if for_tour else approval_keys.default_file())
    if path.exists() and name is None:
        approver = approval_keys.read(path)
    else:
        approver = approval_keys.create(name or (approval_keys.TOUR_NAME if for_tour else current_user()), path)
    print(f"{approver.name}  {approver.public}\n  the private key is in {path}: do not share this file")
    if workload is not None:
        listed = approval_keys.add_to_approvers(find_workload(workload).name, approver, for_tour=for_tour)
        effect = f"its approvals count in {tour.PROD} only" if for_tour else "commit this file and have the change reviewed"
        print(f"  listed in {listed.relative_to(paths.CHECKOUT)}: {effect}")


def _promoter(editor: StackEditor, source: StackTier | None) -> tuple[Promoter, Callable[[], ModelRegistry]]:
    """Returns the promoter for the editor's environment, and a function that opens the model registry with the evidence.

    The function opens the model registry at its first call, and only once.

    Raises:
        UserError: releases are created in that environment, so they cannot be promoted to it.
    """
    if source is None:
        fix = f"modelstack release {editor.name} --stack {editor.stack}"
        raise UserError(f"Releases are created in {editor.stack}; they cannot be promoted to it.", fix=fix)

    @cache
    def registry() -> ModelRegistry:
        return origin_registry(source)

    releases = read_releases(source, editor.workload)
    return Promoter(target=editor, source=releases, evidence=registry, copy_image=container_registry.copy_image), registry


def _variant_plan(
    promoter: Promoter, selected: SelectedRelease, registry: Callable[[], ModelRegistry], edit: StackEdit
) -> ReleasePlan:
    return ReleasePlan(
        edit=edit,
        # A retained release needs no access to the model registry, so its traffic can be changed while MLflow is down.
        copy=lambda: _copy(promoter, selected, registry, model=not selected.retained),
        next_step=_approval_command(promoter.target, selected),
    )


def _end(command: ReleaseCommand, role: str) -> None:
    command.run(lambda editor: ReleasePlan(edit=editor.edit(edits.without(editor.require_block(), role), approval_later=True)))


def _copy(promoter: Promoter, selected: SelectedRelease, registry: Callable[[], ModelRegistry], *, model: bool) -> None:
    """Copies the image of the selected release to the target; if `model` is set, also its model, run and evidence.

    The model registry of the target is opened before the image is copied: if it cannot be asked, nothing has been copied.
    """
    copy_model = _prepare_model_copy(promoter.target.tier, promoter.target.name, selected, registry) if model else None
    promoter.copy_image_of(selected)
    if copy_model is not None:
        copy_model()


def _prepare_model_copy(
    tier: StackTier, workload: str, selected: SelectedRelease, registry: Callable[[], ModelRegistry]
) -> Callable[[], None] | None:
    """Returns the function that copies the model to the model registry of a stack; None if the stack is not up."""
    from delivery.releases import model_transfer

    if not is_up(tier.stack):
        print(f"{tier.stack} is not up yet: the next `modelstack promote` copies the model to its MLflow.", file=sys.stderr)
        return None
    source, target = registry(), Environment(tier).model_registry
    model = selected.model or source.version(workload, selected.version)
    if model is None or model_transfer.has_copy(target, model):
        return None

    def copy() -> None:
        if number := model_transfer.copy_version(source, target, model):
            print(
                f"Copied {workload} v{model.version} to the MLflow of {tier.stack}; its version number there is {number}.",
                file=sys.stderr,
            )

    return copy


def _approval_command(editor: StackEditor, selected: SelectedRelease) -> str:
    """Returns the command that approves the selected release; empty if no approval is required or the stack file has one."""
    if not editor.tier.requirements.approval or "approval" in editor.versions.get(selected.version, {}):
        return ""
    command = f"modelstack approve {editor.name} --version {selected.version} --stack {editor.stack}"
    return f"an approver who did not train this version runs {command}"
