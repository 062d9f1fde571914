"""Promotion: a release on its way from the stack file it comes from into the one it goes to.

The release is resolved once (`Candidate`) and handed on: to the edit, to the copy of its image and to the copy of its model.
Nothing is edited before everything is checked: that the release is there, that its evidence is what its run recorded, and that
the environment may serve the outcome. Only the approval may come later. The program checks again at preview.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from common.errors import UserError
from delivery.releases import edits
from infra.settings.releases import CANARY, SHADOW, STABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clients.model_registry import ModelVersion
    from delivery.releases.edits import Block
    from delivery.releases.stack_editor import StackEdit, StackEditor, StackReleases


class EvidenceSource(Protocol):
    """The model registry that a release was made from. See `clients.model_registry.ModelRegistry`."""

    def version(self, name: str, version: int) -> ModelVersion | None: ...
    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]: ...


class ImageCopier(Protocol):
    """Copies an image from one container registry to another. See `clients.container_registry.copy_image`."""

    def __call__(self, source: str, target: str, repository: str, digest: str) -> None: ...


@dataclass(frozen=True)
class Candidate:
    """The release that a command is about.

    Args:
        release: as the stack file writes it.
        retained: whether the stack that it goes to retains it already.
    """

    release: Block
    retained: bool

    @property
    def version(self) -> int:
        return int(self.release["version"])


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Takes releases of one workload from their source into a stack.

    Args:
        target: the stack they go to.
        source: the stack they come from.
        evidence: opens the model registry that their evidence is in; called only for a release that is not retained yet.
        copy_image: copies an image; called only if the two stacks have different container registries.
    """

    target: StackEditor
    source: StackReleases
    evidence: Callable[[], EvidenceSource]
    copy_image: ImageCopier

    def from_source(self, version: int | None) -> Candidate:
        """The source's release of a version, by default its stable one. Its evidence is verified.

        Raises:
            UserError: the target does not run the workload, the source retains no such release, or the release says something
                else than its run recorded.
        """
        _ = self.target.settings  # a stack that does not run the workload is refused first
        found = self.source.retained_release(version if version is not None else self.source.require_block()[STABLE])
        verify(self.target.name, found, self.evidence())
        release = {key: value for key, value in found.items() if key != "approval"}
        return Candidate(release, retained=found["version"] in self.target.versions)

    def retained_or_from_source(self, version: int | None) -> Candidate:
        """The release of a version that the target retains, else the source's.

        Raises:
            UserError: nothing is released in the target yet, or see `from_source`.
        """
        self.target.require_block()
        if version is not None and version in self.target.versions:
            return Candidate(self.target.versions[version], retained=True)
        return self.from_source(version)

    def promote(self, candidate: Candidate) -> StackEdit:
        """The edit that makes the candidate stable."""
        return self.target.edit(edits.with_stable(self.target.block, candidate.release), approval_later=True)

    def canary(self, candidate: Candidate, percent: int) -> StackEdit:
        """The edit that gives the candidate `percent` of the requests.

        Raises:
            UserError: it is the stable version, or see `StackEditor.edit`.
        """
        block = self.target.require_block()
        _not_stable(block, candidate, CANARY)
        return self.target.edit(edits.with_canary(block, candidate.release, percent), approval_later=True)

    def shadow(self, candidate: Candidate) -> StackEdit:
        """The edit that gives the candidate a copy of every request.

        Raises:
            UserError: it is the stable version, or see `StackEditor.edit`.
        """
        block = self.target.require_block()
        _not_stable(block, candidate, SHADOW)
        return self.target.edit(edits.with_shadow(block, candidate.release), approval_later=True)

    def with_image(self, candidate: Candidate) -> bool:
        """Copies the candidate's image into the target's container registry. Returns whether it had to be copied."""
        there, here = self.source.settings.images.registry, self.target.settings.images.registry
        if there == here:
            return False
        self.copy_image(there, here, f"{self.target.name}-serving", candidate.release["image"])
        return True


def verify(workload: str, release: Mapping[str, Any], evidence: EvidenceSource) -> None:  # YAML
    """Checks that a release says what its model version's run recorded. The report is downloaded and its digest computed again.

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


def _not_stable(block: Block, candidate: Candidate, role: str) -> None:
    if block[STABLE] == candidate.version:
        raise UserError(
            f"Version {candidate.version} is the stable one: it cannot be its own {role}.",
            fix="name another version with --version",
        )
