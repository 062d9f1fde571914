"""The commands that change what an environment serves: promote, canary, shadow, approve, rollback. Each edits a stack file."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from clients import container_registry
from common import clock
from common.errors import UserError
from delivery.console.progress import reporter
from delivery.environments.access import Access
from delivery.releases import edits
from delivery.releases.promoter import Desk, Promoter, verify
from delivery.stacks import backend, lock, stack_file
from infra.promotion import requirements
from infra.promotion.deployed import OUTPUT, DeployedReleases, parse
from infra.settings.releases import CANARY, SHADOW, Release
from workloads import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from clients.model_registry import Models
    from delivery.releases.promoter import Edit
    from infra.promotion.deployed import DeployedRelease
    from workloads.declaration import Workload


class Move:
    """One command about one workload in one stack, with what all of them do: show the diff, write, bring the stack up.

    Args:
        command: as the user gave it, for the lock.
        stack: the environment.
        workload: its name.
        dry_run: show the change and make none.
        as_json: tell it to a program.
        apply: bring the stack up afterwards.
    """

    def __init__(  # noqa: PLR0913 each is an option of the commands
        self, command: str, stack: str, workload: str, *, dry_run: bool, as_json: bool, apply: bool
    ) -> None:
        self.command, self.stack, self.workload = command, stack, declared(workload)
        self.dry_run, self.as_json, self.apply = dry_run, as_json, apply
        self.desk = desk_of(stack, self.workload)

    def make(
        self,
        edit: Callable[[], Edit],
        before: Callable[[], None] | None = None,
        after: str = "",
        told: Mapping[str, object] | None = None,
    ) -> None:
        """Makes an edit.

        Args:
            edit: what to make of the stack file.
            before: brings what has to be there before it is written. Asked even if nothing is: what was lost is brought again.
            after: the next command, if it is not to bring the stack up.
            told: what a program is told besides.
        """
        with lock.exclusive(self.command):
            made = edit()
            if not self.dry_run:
                if before:
                    before()
                if made.diff:
                    made.write()
        following = after or (
            "modelstack status" if self._applies else f'eval "$(modelstack env)" && pulumi up --stack {self.stack}'
        )
        self._tell(made, following, told or {})
        if self._applies:
            from delivery.stacks.stack import Stack

            with reporter(self.command.split()[0]) as progress, lock.exclusive(self.command):
                stack = Stack(self.stack)
                stack.up(progress, stack.preview(progress))
        if made.diff and not self.as_json:
            print("Nothing was written." if self.dry_run else f"Next: {following}")

    @property
    def _applies(self) -> bool:
        return self.apply and not self.dry_run

    def _tell(self, made: Edit, following: str, besides: Mapping[str, object]) -> None:
        if self.as_json:
            told = {"stack": self.stack, "workload": self.workload.name, "changed": bool(made.diff), "diff": made.diff}
            print(json.dumps({**besides, **told, "written": bool(made.diff) and not self.dry_run, "next": following}))
        else:
            print(made.diff or "It is so already: nothing changes.", flush=True)


def declared(name: str) -> Workload:
    """The declaration of a workload.

    Raises:
        UserError: there is none of that name.
    """
    try:
        return catalogue.get(name)
    except catalogue.UnknownWorkloadError as error:
        raise UserError("There is no such workload.", found=name, fix=str(error)) from None


def desk_of(stack: str, workload: Workload) -> Desk:
    """Where a workload's releases in a stack are changed."""
    wanted = requirements.for_stack(stack)
    known = DeployedReleases(here=stable_in(stack), source=stable_in(wanted.source) if wanted.proven and wanted.source else {})
    return Desk(stack=stack, file=stack_file.path_of(stack), workload=workload, known=known, today=clock.today())


def stable_in(stack: str) -> Mapping[str, DeployedRelease]:
    """What a stack told, after its last update, that it serves; nothing where it has never been up."""
    if not backend.has_stack(stack):
        return {}
    from delivery.stacks.stack import Stack

    outputs: dict[str, Any] = Stack(stack).outputs()
    return parse({OUTPUT: outputs.get(OUTPUT)})


def promoter(move: Move, source: str | None) -> Promoter:
    """What brings releases into the stack of a move.

    Raises:
        UserError: releases are made in that stack, and come from nowhere.
    """
    origin = source or requirements.for_stack(move.stack).source
    if origin is None:
        fix = f"modelstack release {move.workload.name} --stack {move.stack}"
        raise UserError(f"Releases are made in {move.stack}, not promoted to it.", fix=fix)
    there = desk_of(origin, move.workload)
    return Promoter(desk=move.desk, source=there, evidence=lambda: registry_of(origin), carry=container_registry.copy)


def registry_of(stack: str) -> Models:
    """The model registry in which a stack's releases were made."""
    return Access.to(requirements.origin(stack)).models


def promote(move: Move, source: str | None, version: int | None) -> None:
    """Makes a version stable."""
    moves = promoter(move, source)
    move.make(lambda: moves.promote(version), lambda: _bring(moves, version, again=True), _approval_next(move, moves, version))


def canary(move: Move, version: int | None, percent: int | None, *, abort: bool) -> None:
    """Tries a version on part of the requests, changes its part, or ends that."""
    if abort:
        _end(move, CANARY)
        return
    block = move.desk.released()
    running = block.get(CANARY)
    if percent is None:
        raise UserError("How much of the traffic is the canary to get?", example="--traffic 10", fix="say so, or give --abort")
    if version is None and running:
        version = running["version"]
    moves = promoter(move, None)
    move.make(lambda: moves.canary(version, percent), lambda: _bring(moves, version), _approval_next(move, moves, version))


def shadow(move: Move, version: int | None, *, abort: bool) -> None:
    """Gives a version a copy of every request, or ends that."""
    if abort:
        _end(move, SHADOW)
        return
    moves = promoter(move, None)
    move.make(lambda: moves.shadow(version), lambda: _bring(moves, version), _approval_next(move, moves, version))


def rollback(move: Move) -> None:
    """Goes back to the release before."""
    move.make(lambda: move.desk.edit(edits.rolled_back(move.desk.released())))


def approve(move: Move, version: int, file: Path) -> None:
    """Approves a release that the stack file holds. Its evidence is looked at first: one signs what one has seen."""
    from delivery.releases import approval_keys

    key = approval_keys.read(file)
    kept = move.desk.kept(version)
    verify(move.workload.name, kept, registry_of(move.stack))
    release = Release.model_validate({name: value for name, value in kept.items() if name != "approval"})
    made = key.approve(move.stack, move.workload, release)
    # Others that are served may be waiting for theirs.
    move.make(lambda: move.desk.edit(edits.approved(move.desk.released(), version, made), approval_later=True))


def check(stack: str, workload: str) -> None:
    """Whether every release that a stack file keeps says what its run recorded."""
    desk = desk_of(stack, declared(workload))
    models = registry_of(stack)
    for version, release in edits.versions(desk.released()).items():
        verify(workload, release, models)
        print(f"{workload} version {version}: report {release['evidence']['report']} is what run {release['run']} recorded.")


def _end(move: Move, role: str) -> None:
    move.make(lambda: move.desk.edit(edits.without(move.desk.released(), role), approval_later=True))


def _bring(moves: Promoter, version: int | None, *, again: bool = False) -> None:
    """Brings what a release needs into the stack.

    Args:
        moves: what brings it.
        version: of the release; what is stable in the source unless told.
        again: look for the model even where the stack keeps the release. Otherwise no model registry is asked about one that it
            keeps: traffic can be moved while MLflow is down.
    """
    block = moves.source.block() or {}
    kept = edits.versions(block) | edits.versions(moves.desk.block())
    release = kept[version if version is not None else block["stable"]]
    moves.bring_image(release)
    if again or release["version"] not in edits.versions(moves.desk.block()):
        _bring_model(moves.desk.stack, moves.desk.name, release)


def _bring_model(stack: str, workload: str, release: Mapping[str, Any]) -> None:  # YAML
    """Brings a release's model, run and evidence into the stack's own model registry."""
    from delivery.releases import model_transfer
    from delivery.stacks.stack import Stack

    if not backend.has_stack(stack) or not Stack(stack).outputs():
        print(f"{stack} is not up yet: its MLflow gets the model with the next `modelstack promote`.", file=sys.stderr)
        return
    source, target = registry_of(stack), Access.to(stack).models
    model = source.version(workload, release["version"])
    if model is not None and (number := model_transfer.bring(source, target, model)):
        print(f"{workload} v{model.version} is in {stack}'s MLflow, as version {number} there.", file=sys.stderr)


def _approval_next(move: Move, moves: Promoter, version: int | None) -> str:
    """The command that comes next where the stack asks for an approval that is not there."""
    if not requirements.for_stack(move.stack).approval:
        return ""
    wanted = version if version is not None else (moves.source.block() or {}).get("stable")
    if "approval" in edits.versions(move.desk.block()).get(wanted or 0, {}):
        return ""
    return f"somebody else approves: modelstack approve {move.workload.name} --version {wanted} --stack {move.stack}"
