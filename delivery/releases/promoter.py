"""Releases on the move: from the stack they come from into the one they go to, as an edit of its stack file.

Nothing is edited unless everything has been looked at: that the release is there, that its evidence is what its run recorded,
and that the environment may serve the outcome, approval aside, which comes after. The program asks again at preview.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from common.errors import UserError
from delivery.releases import edits
from delivery.stacks import stack_file
from infra.promotion import requirements, rules
from infra.settings import consistency, loading
from infra.settings.problems import refusal
from infra.settings.releases import CANARY, SHADOW, STABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date
    from pathlib import Path

    from clients.model_registry import ModelVersion
    from delivery.releases.edits import Block
    from infra.promotion.deployed import DeployedReleases
    from infra.settings.model import Settings
    from workloads.declaration import Workload


class Evidence(Protocol):
    """The model registry that a release was made from. See `clients.model_registry.Models`."""

    def version(self, name: str, version: int) -> ModelVersion | None: ...
    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]: ...


class Images(Protocol):
    """Brings an image from one registry to another. See `clients.container_registry.copy`."""

    def __call__(self, source: str, target: str, repository: str, digest: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What a command would make of a stack file."""

    file: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        """As a unified diff; empty where nothing changes."""
        return stack_file.diff(self.file.name, self.before, self.after)

    def write(self) -> None:
        """Makes it so.

        Raises:
            UserError: somebody else has edited the file meanwhile.
        """
        if stack_file.read(self.file) != self.before:
            raise UserError("The stack file was edited meanwhile.", where=self.file.name, fix="run the command again")
        stack_file.write(self.file, self.after)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the releases of one workload in one stack are changed.

    Args:
        stack: the environment that releases go to.
        file: its stack file.
        workload: the declaration.
        known: what is stable here and in the stack that releases come from.
        today: the day it is.
    """

    stack: str
    file: Path
    workload: Workload
    known: DeployedReleases
    today: date

    @property
    def name(self) -> str:
        return self.workload.name

    @property
    def text(self) -> str:
        return stack_file.read(self.file)

    def settings(self) -> Settings:
        """What the file says now.

        Raises:
            UserError: it is no good, or does not run the workload.
        """
        found = loading.load(self.file)
        if self.name not in found.workloads:
            fix = f"add it to `modelstack:workloads` in {self.file.name}"
            example = f"{self.name}: {{nodePort: {consistency.free_node_port(found)}}}"
            raise UserError(f"Stack {self.stack} does not run this workload.", found=self.name, example=example, fix=fix)
        return found

    def block(self) -> Block | None:
        """The workload's releases; None where there are none yet."""
        found: Block | None = stack_file.releases(self.text).get(self.name)
        return found

    def released(self) -> Block:
        """The workload's releases.

        Raises:
            UserError: there are none yet.
        """
        block = self.block()
        if block is None:
            source = requirements.for_stack(self.stack).source
            fix = f"modelstack promote {self.name} --to {self.stack}" if source else f"modelstack release {self.name}"
            raise UserError(f"Nothing of {self.name} is released in {self.stack} yet.", where=self.file.name, fix=fix)
        return block

    def kept(self, version: int) -> Block:
        """One of the releases that the stack file keeps.

        Raises:
            UserError: it keeps none of that version.
        """
        kept = edits.versions(self.block())
        if version not in kept:
            bring = f"promote {self.name} --to" if requirements.for_stack(self.stack).source else f"release {self.name} --stack"
            raise UserError(
                f"{self.stack} keeps no release of {self.name} version {version}.",
                where=self.file.name,
                found=", ".join(f"version {number}" for number in kept) or "none",
                fix=f"name one of those, or bring it there first: modelstack {bring} {self.stack} --version {version}",
            )
        return kept[version]

    def edit(self, block: Block, *, approval_later: bool = False) -> Edit:
        """The edit that makes `block` the workload's releases.

        Args:
            block: the releases.
            approval_later: whether an approval may still be missing: somebody else gives it.

        Raises:
            UserError: the file would be no good, or the environment may not serve that.
        """
        before = self.text
        after = stack_file.with_releases(before, self.name, block)
        if after != before:
            wanted = requirements.for_stack(self.stack)
            wanted = dataclasses.replace(wanted, approval=wanted.approval and not approval_later)
            outcome = loading.parse_text(after, self.file.name)
            workloads = {self.name: self.workload}
            problems = rules.refusals(self.stack, outcome, self.known, workloads, today=self.today, wanted=wanted)
            if problems:
                raise refusal(self.file.name, problems)
        return Edit(file=self.file, before=before, after=after)


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Brings releases of one workload from their source into a stack.

    Args:
        desk: the stack they go to.
        source: the desk of the stack they come from.
        evidence: the registry that their evidence lies in.
        carry: brings an image from the source's registry; asked for only where the two differ.
    """

    desk: Desk
    source: Desk
    evidence: Callable[[], Evidence]
    carry: Images

    def promote(self, version: int | None) -> Edit:
        """The edit that makes a version stable: the source's stable one unless told."""
        release = self._release(version)
        return self.desk.edit(edits.with_stable(self.desk.block(), release), approval_later=True)

    def canary(self, version: int | None, percent: int) -> Edit:
        """The edit that tries a version on `percent` of the requests."""
        block = self.desk.released()
        release = self._kept_or_release(version)
        _not_stable(block, release, CANARY)
        return self.desk.edit(edits.with_canary(block, release, percent), approval_later=True)

    def shadow(self, version: int | None) -> Edit:
        """The edit that gives a version a copy of every request."""
        block = self.desk.released()
        release = self._kept_or_release(version)
        _not_stable(block, release, SHADOW)
        return self.desk.edit(edits.with_shadow(block, release), approval_later=True)

    def bring_image(self, release: Block) -> bool:
        """Brings the release's image into the stack's registry, and tells whether it had to be brought."""
        there, here = self.source.settings().images.registry, self.desk.settings().images.registry
        if there == here:
            return False
        self.carry(there, here, f"{self.desk.name}-serving", release["image"])
        return True

    def _kept_or_release(self, version: int | None) -> Block:
        """A release that the stack keeps already, else the source's."""
        kept = edits.versions(self.desk.block())
        return kept[version] if version in kept else self._release(version)

    def _release(self, version: int | None) -> Block:
        self.desk.settings()  # a stack that does not run the workload is told of first
        release = self.source.kept(version if version is not None else self.source.released()[STABLE])
        verify(self.desk.name, release, self.evidence())
        return {key: value for key, value in release.items() if key != "approval"}


def verify(workload: str, release: Mapping[str, Any], evidence: Evidence) -> None:  # YAML
    """Sees to it that a release says what its model version's run recorded: the report is fetched, and its digest made anew.

    Raises:
        UserError: the version is gone, its report was changed, or the release says something else.
    """
    model = evidence.version(workload, release["version"])
    if model is None:
        what = f"{workload} version {release['version']} is no longer registered: its evidence cannot be looked at."
        raise UserError(what, fix="release another version")
    digest, metrics, until = evidence.report(model)
    recorded = {
        "run": model.run,
        "data": model.tag("data"),
        "revision": model.tag("revision"),
        "trainer": model.tag("trainer"),
        "evidence.report": digest,
        "evidence.metrics": metrics,
        "evidence.until": until,
    }
    for key, right in recorded.items():
        section, _, name = key.rpartition(".")
        found = (release[section] if section else release).get(name)
        if found != right:
            raise UserError(
                f"The release of {workload} version {release['version']} does not say what its run recorded.",
                where=key,
                found="nothing" if found is None else found,
                example="nothing" if right is None else str(right),
                fix=f"modelstack release {workload} --version {release['version']} writes it anew",
            )


def _not_stable(block: Block, release: Block, role: str) -> None:
    if block[STABLE] == release["version"]:
        raise UserError(
            f"Version {release['version']} is the stable one: it cannot be its own {role}.",
            fix="name another version with --version",
        )
