"""Releases a registered model version: builds an image that contains the model, and writes a release to the stack file.

The release names the image by digest, so a released version is immutable.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clients import container_registry
from clients.model_registry import find_version
from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.releases import edits
from delivery.releases.stack_editor import open_editor
from delivery.stacks import stack_file
from infra.settings import consistency, loading
from infra.settings.problems import nearest
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from clients.model_registry import ModelVersion
    from common.answers import Answer
    from common.progress import Progress
    from delivery.environments.environment import Environment
    from delivery.releases.edits import Block
    from delivery.releases.stack_editor import StackEdit, StackEditor

DOCKERFILE = paths.CHECKOUT / "components" / "images" / "release" / "Dockerfile"
SCRATCH = paths.STATE / "scratch"


class ModelSource(Protocol):
    """The functions of the model registry that a release needs. See `clients.model_registry.ModelRegistry`."""

    def newest(self, name: str) -> ModelVersion | None: ...
    def version(self, name: str, version: int) -> ModelVersion | None: ...
    def download(self, model: ModelVersion, folder: Path) -> None: ...
    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]: ...


class ImageBuilder(Protocol):
    """Builds and pushes images. See `local.images.Builder`."""

    def build(self, context: Path, dockerfile: Path, args: dict[str, str], tag: str, progress: Progress) -> str: ...
    def push(self, tag: str, progress: Progress) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Releaser:
    """Releases model versions in one environment.

    Args:
        editor: reads the current stack file and returns its editor for a workload, given by name.
        models: the environment's model registry.
        builder: builds and pushes images.
        registry: address of the environment's container registry.
        serving_image: base image of the release images, by digest.
        pushed_digest: looks up the digest of an image in the container registry, given its repository and tag.
    """

    editor: Callable[[str], StackEditor]
    models: ModelSource
    builder: ImageBuilder
    registry: str
    serving_image: str
    pushed_digest: Callable[[str, str], Answer[str]]

    def release(self, workload: str, version: int | None, progress: Progress, *, dry_run: bool = False) -> str:
        """Releases a version, by default the newest, and returns the change of the stack file as a unified diff.

        The stack file is edited last, after every other step has succeeded. Releasing the same version again changes nothing. A
        workload without an endpoint gets the first free node port.

        Raises:
            UserError: the version does not exist, lacks tags about its origin, or has changed evidence; no node port is free;
                the changed stack file would be invalid; the environment may not serve the release; or somebody has changed the
                file while it was written.
        """
        if workload not in WORKLOADS:
            fix = nearest(workload, WORKLOADS, f"name one of: {', '.join(sorted(WORKLOADS))}")
            raise UserError("There is no such workload.", found=workload, fix=fix)
        with progress.step(f"release {workload}") as step:
            model = find_version(self.models, workload, version)
            step.note(f"version {model.version}")
            digest, metrics, until = self.models.report(model)
            # Everything that can be refused is refused before the build, which takes minutes.
            edit = _edit(self.editor(workload), _release(model, self._planned_digest(model), digest, metrics, until))
            if not dry_run:
                image = self._built_digest(model, progress)
                # The file is read again, so changes that somebody made during the build are kept.
                edit = _edit(self.editor(workload), _release(model, image, digest, metrics, until))
            if edit.diff and not dry_run:
                edit.write()
            step.note(f"version {model.version}" + ("" if edit.diff else ", no change"))
            return edit.diff

    def _repository(self, model: ModelVersion) -> str:
        return f"{model.name}-serving"

    def _tag(self, model: ModelVersion) -> str:
        """Returns a tag that identifies everything in the image, so that the same image is built only once."""
        parts = [str(model.version), model.run, self.serving_image]
        parts += [file.read_text(encoding="utf-8") for file in (DOCKERFILE, DOCKERFILE.with_name("Dockerfile.dockerignore"))]
        return f"v{model.version}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"

    def _planned_digest(self, model: ModelVersion) -> str:
        """Returns the digest of the image if it is built already; else a placeholder of zeros."""
        return self._pushed_digest(model) or "sha256:" + "0" * 64

    def _pushed_digest(self, model: ModelVersion) -> str | None:
        """Returns the digest of the image in the container registry; None if it has to be built.

        Raises:
            UserError: the container registry cannot be asked. An image that exists must not be built again.
        """
        match self.pushed_digest(self._repository(model), self._tag(model)):
            case Found(value=digest):
                return digest
            case Absent():
                return None
            case Unknown() as unknown:
                raise unknown.error("The container registry cannot be asked whether it has the image of this version already.")

    def _built_digest(self, model: ModelVersion, progress: Progress) -> str:
        """Builds and pushes the image unless the container registry has it already. Returns its digest."""
        if digest := self._pushed_digest(model):
            return digest
        name = f"{self.registry}/{self._repository(model)}:{self._tag(model)}"
        with scratch() as context:
            with progress.step("download the model"):
                self.models.download(model, context / "model")
            (context / "release.json").write_text(json.dumps(identity(model), indent=2), encoding="utf-8")
            self.builder.build(context, DOCKERFILE, {"SERVING": self.serving_image}, name, progress)
        return self.builder.push(name, progress)


def identity(model: ModelVersion) -> dict[str, Any]:  # JSON
    """Returns the identity of a release image. The image contains it, and every answer of the endpoint repeats it."""
    return {
        "workload": model.name,
        "version": model.version,
        "run": model.run,
        "data": model.tag("data"),
        "revision": model.tag("revision"),
    }


def releaser_of(environment: Environment) -> Releaser:
    """Returns the releaser of an environment that is up."""
    from local.images import Builder

    stack, address = environment.name, environment.outputs.registry
    return Releaser(
        editor=lambda workload: open_editor(stack, WORKLOADS[workload]),
        models=environment.model_registry,
        builder=Builder(),
        registry=address,
        serving_image=environment.outputs.serving_image,
        pushed_digest=lambda repository, tag: container_registry.digest_of(address, repository, tag),
    )


def with_endpoint(editor: StackEditor) -> str:
    """Returns the text of the stack file with an endpoint for the workload. A new endpoint gets the first free node port.

    Raises:
        UserError: the workload has no endpoint, and all node ports are in use.
    """
    settings = loading.parse_text(editor.text, editor.file.name)
    if editor.name in settings.workloads:
        return editor.text
    port = consistency.free_node_port(settings)
    if port is None:
        what = f"No node port is free in {editor.stack} for an endpoint of {editor.name}."
        raise UserError(what, found=f"{settings.cluster.node_ports} are in use", fix="extend the range cluster.nodePorts")
    return stack_file.with_endpoint(editor.text, editor.name, port)


def _release(model: ModelVersion, image: str, report: str, metrics: dict[str, float], until: str | None) -> Block:
    evidence = {"version": model.version, "data": model.tag("data"), "report": report, "metrics": metrics}
    return {
        "version": model.version,
        "run": model.run,
        "image": image,
        "data": model.tag("data"),
        "revision": model.tag("revision"),
        "trainer": model.tag("trainer"),
        "evidence": evidence | ({"until": until} if until is not None else {}),
    }


def _edit(editor: StackEditor, release: Block) -> StackEdit:
    text = with_endpoint(editor)
    block = edits.with_stable(stack_file.releases(text).get(editor.name), release)
    return editor.edit_text(stack_file.with_releases(text, editor.name, block))


@contextmanager
def scratch() -> Generator[Path]:
    """Provides a temporary folder and deletes it afterwards. Deletes the folder of a killed command first."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    try:
        yield Path(tempfile.mkdtemp(dir=SCRATCH))
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
