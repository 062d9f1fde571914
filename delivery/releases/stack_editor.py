"""The releases of one workload in one stack file: read once, changed as a whole, and checked before they are written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from common import clock
from common.errors import UserError
from delivery.releases import edits
from delivery.stacks import backend, stack_file, stack_outputs
from infra.promotion import requirements, rules
from infra.promotion.deployed import DeployedReleases, parse
from infra.settings import consistency, loading
from infra.settings.problems import refusal
from workloads import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from delivery.releases.edits import Block
    from infra.promotion.deployed import DeployedRelease
    from infra.settings.model import Settings
    from workloads.declaration import Workload


@dataclass(frozen=True, kw_only=True)
class StackEdit:
    """A change of a stack file that has been checked and not yet written."""

    file: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The change as a unified diff; empty if nothing changes."""
        return stack_file.diff(self.file.name, self.before, self.after)

    def write(self) -> None:
        """Writes the file.

        Raises:
            UserError: the file is not what it was when the change was made from it.
        """
        if stack_file.read(self.file) != self.before:
            raise UserError("The stack file was edited meanwhile.", where=self.file.name, fix="run the command again")
        stack_file.write(self.file, self.after)


@dataclass(frozen=True, kw_only=True)
class StackReleases:
    """The releases of one workload in the text of one stack file. It reads no file and starts no engine: see `read_releases`.

    Args:
        stack: the environment.
        file: its stack file.
        text: what the file held when it was read.
        workload: the declaration.
    """

    stack: str
    file: Path
    text: str
    workload: Workload

    @property
    def name(self) -> str:
        """The workload's name."""
        return self.workload.name

    @cached_property
    def settings(self) -> Settings:
        """The settings that the text holds.

        Raises:
            UserError: they have problems, or the stack does not run the workload.
        """
        found = loading.parse_text(self.text, self.file.name)
        if self.name not in found.workloads:
            fix = f"add it to `modelstack:workloads` in {self.file.name}"
            example = f"{self.name}: {{nodePort: {consistency.free_node_port(found)}}}"
            raise UserError(f"Stack {self.stack} does not run this workload.", found=self.name, example=example, fix=fix)
        return found

    @cached_property
    def block(self) -> Block | None:
        """The workload's releases; None if there are none yet."""
        found: Block | None = stack_file.releases(self.text).get(self.name)
        return found

    @property
    def versions(self) -> dict[int, Block]:
        """The releases that the file retains, by version."""
        return edits.versions(self.block)

    def released(self) -> Block:
        """The workload's releases.

        Raises:
            UserError: there are none yet.
        """
        if self.block is None:
            source = requirements.for_stack(self.stack).source
            fix = f"modelstack promote {self.name} --to {self.stack}" if source else f"modelstack release {self.name}"
            raise UserError(f"Nothing of {self.name} is released in {self.stack} yet.", where=self.file.name, fix=fix)
        return self.block

    def retained(self, version: int) -> Block:
        """One of the releases that the file retains.

        Raises:
            UserError: it retains none of that version.
        """
        if version not in self.versions:
            bring = f"promote {self.name} --to" if requirements.for_stack(self.stack).source else f"release {self.name} --stack"
            raise UserError(
                f"{self.stack} keeps no release of {self.name} version {version}.",
                where=self.file.name,
                found=", ".join(f"version {number}" for number in self.versions) or "none",
                fix=f"name one of those, or bring it there first: modelstack {bring} {self.stack} --version {version}",
            )
        return self.versions[version]


@dataclass(frozen=True, kw_only=True)
class StackEditor(StackReleases):
    """The releases of one workload in one stack file, with what is needed to judge a change of them.

    Args:
        deployed: what is stable in this stack, and in the stack that releases come from.
        today: the day up to which the age of the data is counted.
    """

    deployed: DeployedReleases
    today: date

    def edit(self, block: Block, *, approval_later: bool = False) -> StackEdit:
        """The edit that makes `block` the workload's releases.

        Args:
            block: the releases.
            approval_later: whether an approval may still be missing: somebody else gives it.

        Raises:
            UserError: the file would be invalid, or the environment may not serve those releases.
        """
        return self.edit_text(stack_file.with_releases(self.text, self.name, block), approval_later=approval_later)

    def edit_text(self, after: str, *, approval_later: bool = False) -> StackEdit:
        """The edit that makes `after` the text of the file, checked in the same way as `edit` does."""
        if after != self.text:
            wanted = requirements.for_stack(self.stack)
            wanted = dataclasses.replace(wanted, approval=wanted.approval and not approval_later)
            outcome = loading.parse_text(after, self.file.name)
            workloads = {self.name: self.workload}
            problems = rules.refusals(self.stack, outcome, self.deployed, workloads, today=self.today, required=wanted)
            if problems:
                raise refusal(self.file.name, problems)
        return StackEdit(file=self.file, before=self.text, after=after)


def declared(name: str) -> Workload:
    """The declaration of a workload.

    Raises:
        UserError: there is none of that name.
    """
    try:
        return catalogue.get(name)
    except catalogue.UnknownWorkloadError as error:
        raise UserError("There is no such workload.", found=name, fix=str(error)) from None


def read_releases(stack: str, workload: Workload) -> StackReleases:
    """Reads the workload's releases from the stack file. No engine is started.

    Raises:
        UserError: there is no such stack file.
    """
    file = stack_file.path_of(stack)
    return StackReleases(stack=stack, file=file, text=stack_file.read(file), workload=workload)


def open_editor(stack: str, workload: Workload) -> StackEditor:
    """Reads the workload's releases from the stack file, and from the engine what is deployed in this stack and in its source.

    Raises:
        UserError: there is no such stack file, or the engine cannot be asked.
    """
    wanted = requirements.for_stack(stack)
    source: Mapping[str, DeployedRelease] = deployed_in(wanted.source) if wanted.proven and wanted.source else {}
    read = read_releases(stack, workload)
    return StackEditor(
        stack=stack,
        file=read.file,
        text=read.text,
        workload=workload,
        deployed=DeployedReleases(here=deployed_in(stack), source=source),
        today=clock.today(),
    )


def deployed_in(stack: str) -> Mapping[str, DeployedRelease]:
    """What a stack exported, after its last update, about the releases it serves; empty if it has never been up."""
    if not backend.has_stack(stack):
        return {}
    return parse(stack_outputs.read(stack))
