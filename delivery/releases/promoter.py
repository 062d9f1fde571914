"""Promotion: adds a release from the stack file of one environment to the stack file of another.

The release is looked up once (`SelectedRelease`). The edit and the copies of image and model all use it.
The file is edited only after three checks: the release exists, its evidence matches what its run recorded, and the environment
may serve the result. Only the approval may be added later. The Pulumi program checks the stack file again at preview.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from common.errors import UserError
from common.roles import CANARY, SHADOW, STABLE
from delivery.releases import edits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clients.model_registry import ModelVersion
    from delivery.releases.edits import Block
    from delivery.releases.stack_editor import StackEdit, StackEditor, StackReleases


class EvidenceSource(Protocol):
    """The model registry that contains the evidence of a release. See `clients.model_registry.ModelRegistry`."""

    def version(self, name: str, version: int) -> ModelVersion | None: ...
    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]: ...


class ImageCopier(Protocol):
    """Copies an image from one container registry to another. See `clients.container_registry.copy_image`."""

    def __call__(self, source: str, target: str, repository: str, digest: str) -> None: ...


@dataclass(frozen=True)
class SelectedRelease:
    """The release that a command promotes or gives a role.

    Args:
        release: the release as plain YAML, as in the stack file.
        retained: whether the target's stack file contains this version already.
        model: the model version whose evidence was verified; None if a retained release was not verified again.
    """

    release: Block
    retained: bool
    model: ModelVersion | None = None

    @property
    def version(self) -> int:
        """The version of the model."""
        return int(self.release["version"])


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Promotes releases of one workload from a source environment to a target environment.

    Args:
        target: the releases in the target's stack file; the promoter edits them.
        source: the releases in the source's stack file.
        evidence: opens the model registry with the evidence; called only for a release that comes from the source.
        copy_image: copies an image; called only if the two environments have different container registries.
    """

    target: StackEditor
    source: StackReleases
    evidence: Callable[[], EvidenceSource]
    copy_image: ImageCopier

    def from_source(self, version: int | None) -> SelectedRelease:
        """Returns the release of a version in the source stack, by default of the stable version, and verifies its evidence.

        Raises:
            UserError: the target does not run the workload, the source does not retain the release, or the release does not
                match what its run recorded.
        """
        self.target.require_workload()
        source_release = self.source.retained_release(version if version is not None else self.source.require_block()[STABLE])
        model = verify(self.target.name, source_release, self.evidence())
        release = {key: value for key, value in source_release.items() if key != "approval"}
        return SelectedRelease(release, retained=release["version"] in self.target.versions, model=model)

    def retained_or_from_source(self, version: int | None) -> SelectedRelease:
        """Returns the target's retained release of a version; the source's release if the target does not retain the version.

        Raises:
            UserError: the target has no releases yet, or one of the errors of `from_source`.
        """
        self.target.require_block()
        if version is not None and version in self.target.versions:
            return SelectedRelease(self.target.versions[version], retained=True)
        return self.from_source(version)

    def promote(self, selected: SelectedRelease) -> StackEdit:
        """Returns the edit that makes the selected release stable."""
        return self.target.edit(edits.with_stable(self.target.block, selected.release), approval_later=True)

    def canary(self, selected: SelectedRelease, percent: int) -> StackEdit:
        """Returns the edit that makes the selected release the canary, with `percent` of the requests.

        Raises:
            UserError: the selected release is the stable version, or one of the errors of `StackEditor.edit`.
        """
        block = self.target.require_block()
        _not_stable(block, selected, CANARY)
        return self.target.edit(edits.with_canary(block, selected.release, percent), approval_later=True)

    def shadow(self, selected: SelectedRelease) -> StackEdit:
        """Returns the edit that makes the selected release the shadow, which gets a copy of every request.

        Raises:
            UserError: the selected release is the stable version, or one of the errors of `StackEditor.edit`.
        """
        block = self.target.require_block()
        _not_stable(block, selected, SHADOW)
        return self.target.edit(edits.with_shadow(block, selected.release), approval_later=True)

    def copy_image_of(self, selected: SelectedRelease) -> bool:
        """Copies the image of the selected release to the target's container registry.

        Returns:
            False if both environments use the same container registry, so that no copy is needed.
        """
        source, target = self.source.settings.images.registry, self.target.settings.images.registry
        if source == target:
            return False
        self.copy_image(source, target, f"{self.target.name}-serving", selected.release["image"])
        return True


def verify(workload: str, release: Mapping[str, Any], evidence: EvidenceSource) -> ModelVersion:  # YAML
    """Checks that a release matches what the run of its model version recorded, and returns that model version.

    Downloads the back-test report and computes its digest again.

    Raises:
        UserError: the version is no longer registered, its report was changed, or the release does not match the run.
    """
    model = evidence.version(workload, release["version"])
    if model is None:
        what = f"{workload} version {release['version']} is no longer registered, so its evidence cannot be verified."
        raise UserError(what, fix="release another version")
    digest, metrics, until = evidence.report(model)
    recorded = {
        "run": model.run,
        "data": model.tag("data"),
        "revision": model.tag("revision"),
        "code": model.tags.get("code"),
        "trainer": model.tag("trainer"),
        "evidence.report": digest,
        "evidence.metrics": metrics,
        "evidence.until": until,
    }
    for key, expected in recorded.items():
        section, _, name = key.rpartition(".")
        value = (release[section] if section else release).get(name)
        if value != expected:
            raise UserError(
                f"The release of {workload} version {release['version']} does not match what its run recorded.",
                where=key,
                found="nothing" if value is None else value,
                example="nothing" if expected is None else str(expected),
                fix=f"write the release again: modelstack release {workload} --version {release['version']}",
            )
    return model


def _not_stable(block: Block, selected: SelectedRelease, role: str) -> None:
    if block[STABLE] == selected.version:
        raise UserError(
            f"Version {selected.version} is the stable version, so it cannot also be the {role}.",
            fix="choose another version with --version",
        )
