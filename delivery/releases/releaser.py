"""A registered model version made immutable: an image that holds it, and a release in the stack file that names it."""

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
    from common.progress import Progress
    from delivery.environments.environment import Environment
    from delivery.releases.edits import Block
    from delivery.releases.stack_editor import StackEdit, StackEditor

DOCKERFILE = paths.CHECKOUT / "components" / "images" / "release" / "Dockerfile"
SCRATCH = paths.STATE / "scratch"


class ModelSource(Protocol):
    """The model registry, as far as a release needs it. See `clients.model_registry.ModelRegistry`."""

    def newest(self, name: str) -> ModelVersion | None: ...
    def version(self, name: str, version: int) -> ModelVersion | None: ...
    def download(self, model: ModelVersion, folder: Path) -> None: ...
    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]: ...


class ImageBuilder(Protocol):
    """See `local.images.Builder`."""

    def build(self, context: Path, dockerfile: Path, args: dict[str, str], tag: str, progress: Progress) -> str: ...
    def push(self, tag: str, progress: Progress) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Releaser:
    """Releases the versions of one environment.

    Args:
        editor: opens the stack file for a workload, as it is at that moment.
        models: the environment's model registry.
        builder: builds and pushes images.
        registry: address of the container registry.
        serving_image: what release images are built on, by digest.
        pushed: the digest of an image in the container registry, by repository and tag; None if there is none.
    """

    editor: Callable[[str], StackEditor]
    models: ModelSource
    builder: ImageBuilder
    registry: str
    serving_image: str
    pushed: Callable[[str, str], str | None]

    def release(self, workload: str, version: int | None, progress: Progress, *, dry_run: bool = False) -> str:
        """Releases a version, by default the newest, and returns the change of the stack file as a unified diff.

        Nothing is edited unless everything else has succeeded. The same version again changes nothing. A workload that has no
        endpoint yet gets a node port.

        Raises:
            UserError: there is no such version, or it does not say where it comes from, or its evidence was changed.
        """
        if workload not in WORKLOADS:
            fix = nearest(workload, WORKLOADS, f"name one of: {', '.join(sorted(WORKLOADS))}")
            raise UserError("There is no such workload.", found=workload, fix=fix)
        with_endpoint(self.editor(workload))  # a stack that cannot have the endpoint is refused before anything is built
        with progress.step(f"release {workload}") as step:
            model = find_version(self.models, workload, version)
            step.note(f"version {model.version}")
            digest, metrics, until = self.models.report(model)
            image = self._planned(model) if dry_run else self._image(model, progress)
            # The build takes minutes: the file is read again, so that what somebody wrote meanwhile stays.
            edit = _edit(self.editor(workload), _release(model, image, digest, metrics, until))
            if edit.diff and not dry_run:
                edit.write()
            step.note(f"version {model.version}" + ("" if edit.diff else ", as it was"))
            return edit.diff

    def _repository(self, model: ModelVersion) -> str:
        return f"{model.name}-serving"

    def _tag(self, model: ModelVersion) -> str:
        """Names the image by all that goes into it, so that it is built once."""
        parts = [str(model.version), model.run, self.serving_image]
        parts += [file.read_text(encoding="utf-8") for file in (DOCKERFILE, DOCKERFILE.with_name("Dockerfile.dockerignore"))]
        return f"v{model.version}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"

    def _planned(self, model: ModelVersion) -> str:
        return self.pushed(self._repository(model), self._tag(model)) or "sha256:" + "0" * 64

    def _image(self, model: ModelVersion, progress: Progress) -> str:
        repository, tag = self._repository(model), self._tag(model)
        if found := self.pushed(repository, tag):
            return found
        name = f"{self.registry}/{repository}:{tag}"
        with scratch() as context:
            with progress.step("fetch the model"):
                self.models.download(model, context / "model")
            (context / "release.json").write_text(json.dumps(identity(model), indent=2), encoding="utf-8")
            self.builder.build(context, DOCKERFILE, {"SERVING": self.serving_image}, name, progress)
        return self.builder.push(name, progress)


def identity(model: ModelVersion) -> dict[str, Any]:  # JSON
    """What the image says about itself, and every answer with it."""
    return {
        "workload": model.name,
        "version": model.version,
        "run": model.run,
        "data": model.tag("data"),
        "revision": model.tag("revision"),
    }


def releaser_of(environment: Environment) -> Releaser:
    """What releases the versions of an environment that is up."""
    from local.images import Builder

    stack, address = environment.name, environment.outputs.registry
    return Releaser(
        editor=lambda workload: open_editor(stack, WORKLOADS[workload]),
        models=environment.model_registry,
        builder=Builder(),
        registry=address,
        serving_image=environment.outputs.serving_image,
        pushed=lambda repository, tag: container_registry.digest_of(address, repository, tag),
    )


def with_endpoint(editor: StackEditor) -> str:
    """The text of the stack file with an endpoint for the workload: the first free node port if it has none yet.

    Raises:
        UserError: every node port is taken.
    """
    found = loading.parse_text(editor.text, editor.file.name)
    if editor.name in found.workloads:
        return editor.text
    port = consistency.free_node_port(found)
    if port is None:
        what = f"Stack {editor.stack} has no node port left for an endpoint of {editor.name}."
        raise UserError(what, found=f"{found.cluster.node_ports} are taken", fix="widen cluster.nodePorts")
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
    """A folder for the length of the context. What a killed command left behind goes first."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    try:
        yield Path(tempfile.mkdtemp(dir=SCRATCH))
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
