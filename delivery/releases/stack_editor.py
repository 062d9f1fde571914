"""The releases of one workload in one stack file: reads them once, and checks each change before it is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from common import clock
from common.errors import UserError
from delivery.releases import edits
from delivery.stacks import backend, stack_file, stack_outputs
from infra.promotion import approvers, rules
from infra.promotion.deployed import DeployedReleases, parse
from infra.sections.problems import refusal
from infra.settings import consistency, loading
from workloads import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from delivery.releases.edits import Block
    from infra.promotion.deployed import DeployedRelease
    from infra.settings.model import Settings
    from infra.tiers.model import StackTier
    from workloads.declaration import Workload


@dataclass(frozen=True, kw_only=True)
class StackEdit:
    """A checked change of a stack file that is not written yet."""

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
            UserError: the file was changed after it was read.
        """
        if stack_file.read(self.file) != self.before:
            raise UserError(
                "The stack file was changed while the command ran.", where=self.file.name, fix="run the command again"
            )
        stack_file.write(self.file, self.after)


@dataclass(frozen=True, kw_only=True)
class StackReleases:
    """The releases of one workload in the text of one stack file.

    An object of this class reads no file and starts no Pulumi engine: use `read_releases` to read the file.

    Args:
        tier: the stack with its tier and its source.
        file: path of its stack file.
        text: content of the file when it was read.
        workload: the declaration of the workload.
    """

    tier: StackTier
    file: Path
    text: str
    workload: Workload

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.tier.stack

    @property
    def name(self) -> str:
        """The workload's name."""
        return self.workload.name

    @cached_property
    def settings(self) -> Settings:
        """The settings of the stack file.

        Raises:
            UserError: the settings are invalid, or do not list the workload.
        """
        settings = loading.parse_text(self.text, self.file.name)
        if self.name not in settings.workloads:
            fix = f"add it to `modelstack:workloads` in {self.file.name}"
            example = f"{self.name}: {{nodePort: {consistency.free_node_port(settings)}}}"
            raise UserError(f"{self.stack} does not run this workload.", found=self.name, example=example, fix=fix)
        return settings

    def require_workload(self) -> None:
        """Raises `UserError` if the stack does not run the workload. See `settings`."""
        _ = self.settings

    @cached_property
    def block(self) -> Block | None:
        """The block with the workload's releases; None if the stack file has no releases of the workload."""
        block: Block | None = stack_file.releases(self.text).get(self.name)
        return block

    @property
    def versions(self) -> dict[int, Block]:
        """The releases that the stack file retains, by version."""
        return edits.versions(self.block)

    def require_block(self) -> Block:
        """Returns the block with the workload's releases.

        Raises:
            UserError: the stack file has no releases of the workload.
        """
        if self.block is None:
            promoted = self.tier.source is not None
            fix = f"modelstack promote {self.name} --to {self.stack}" if promoted else f"modelstack release {self.name}"
            raise UserError(f"No version of {self.name} is released in {self.stack} yet.", where=self.file.name, fix=fix)
        return self.block

    def retained_release(self, version: int) -> Block:
        """Returns the release of a version.

        Raises:
            UserError: the stack file does not retain a release of this version.
        """
        if version not in self.versions:
            command = f"promote {self.name} --to" if self.tier.source else f"release {self.name} --stack"
            raise UserError(
                f"The stack file of {self.stack} retains no release of {self.name} version {version}.",
                where=self.file.name,
                found=", ".join(f"version {number}" for number in self.versions) or "none",
                fix=f"choose one of these versions, or add the release: modelstack {command} {self.stack} --version {version}",
            )
        return self.versions[version]


@dataclass(frozen=True, kw_only=True)
class StackEditor(StackReleases):
    """The releases of one workload in one stack file, with the data that the check of an edit needs.

    Args:
        deployed: the deployed releases in this environment, and in the environment that releases are promoted from.
        today: the day for which the age of the data is computed.
    """

    deployed: DeployedReleases
    today: date

    def edit(self, block: Block, *, approval_later: bool = False) -> StackEdit:
        """Returns the edit that replaces the workload's releases with `block`.

        Args:
            block: the new releases.
            approval_later: accept releases without an approval, because another person adds the approval later.

        Raises:
            UserError: the changed file would be invalid, or the environment may not serve the new releases.
        """
        return self.edit_text(stack_file.with_releases(self.text, self.name, block), approval_later=approval_later)

    def edit_text(self, after: str, *, approval_later: bool = False) -> StackEdit:
        """Returns the edit that replaces the whole text of the file with `after`. The checks are those of `edit`."""
        if after != self.text:
            required = self.tier.requirements
            required = dataclasses.replace(required, approval=required.approval and not approval_later)
            settings = loading.parse_text(after, self.file.name)
            workloads = {self.name: self.workload}
            problems = rules.refusals(self.tier, settings, self.deployed, workloads, today=self.today, required=required)
            if problems:
                raise refusal(self.file.name, problems)
        return StackEdit(file=self.file, before=self.text, after=after)


def find_workload(name: str) -> Workload:
    """Returns the declaration of the workload with the given name.

    Raises:
        UserError: no workload has this name.
    """
    try:
        return catalogue.get(name)
    except catalogue.UnknownWorkloadError as error:
        raise UserError("There is no such workload.", found=name, fix=str(error)) from None


def read_releases(tier: StackTier, workload: Workload) -> StackReleases:
    """Reads the workload's releases from the stack file. Does not start the Pulumi engine.

    Raises:
        UserError: the stack file does not exist.
    """
    file = stack_file.path_of(tier.stack)
    return StackReleases(tier=tier, file=file, text=stack_file.read(file), workload=workload)


def open_editor(tier: StackTier, workload: Workload) -> StackEditor:
    """Reads the workload's releases from the stack file and, from the outputs of the Pulumi stacks, the deployed releases.

    The deployed releases are those of this environment and of its source, if this environment requires a proven image.

    Raises:
        UserError: the stack file does not exist, a list of approvers is invalid, or the outputs cannot be read.
    """
    releases = read_releases(tier, workload)
    proven_in = tier.source if tier.requirements.proven else None
    source: Mapping[str, DeployedRelease] = deployed_in(proven_in.stack) if proven_in else {}
    return StackEditor(
        tier=tier,
        file=releases.file,
        text=releases.text,
        workload=approvers.for_stack(tier.stack, workload),
        deployed=DeployedReleases(here=deployed_in(tier.stack), source=source),
        today=clock.today(),
    )


def deployed_in(stack: str) -> Mapping[str, DeployedRelease]:
    """Returns the releases that a stack exported at its last update, by workload. Empty if the stack was never up."""
    if not backend.has_stack(stack):
        return {}
    return parse(stack_outputs.read(stack))
