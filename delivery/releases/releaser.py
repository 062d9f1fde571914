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

from clients.model_registry import find
from common import paths
from common.errors import UserError
from delivery.releases import edits
from delivery.stacks import stack_file
from infra.settings import consistency, loading
from infra.settings.problems import nearest
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from clients.model_registry import ModelVersion
    from common.progress import Progress

DOCKERFILE = paths.CHECKOUT / "components" / "images" / "release" / "Dockerfile"
SCRATCH = paths.STATE / "scratch"


class Registry(Protocol):
    """The model registry, as far as a release needs it. See `clients.model_registry.Models`."""

    def newest(self, name: str) -> ModelVersion | None: ...
    def version(self, name: str, version: int) -> ModelVersion | None: ...
    def fetch(self, model: ModelVersion, folder: Path) -> None: ...
    def report(self, model: ModelVersion) -> tuple[str, dict[str, float], str | None]: ...


class ImageBuilder(Protocol):
    """See `local.images.Builder`."""

    def build(self, context: Path, dockerfile: Path, args: dict[str, str], tag: str, progress: Progress) -> str: ...
    def push(self, tag: str, progress: Progress) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Releaser:
    """Releases the versions of one environment.

    Args:
        stack: the environment.
        file: its stack file.
        models: its model registry.
        builder: builds and pushes images.
        registry: address of the container registry.
        serving_image: what release images are built on, by digest.
        pushed: the digest of an image in the container registry, by repository and tag; None where there is none.
    """

    stack: str
    file: Path
    models: Registry
    builder: ImageBuilder
    registry: str
    serving_image: str
    pushed: Callable[[str, str], str | None]

    def release(self, workload: str, version: int | None, progress: Progress, *, dry_run: bool = False) -> str:
        """Releases a version, the newest unless told, and gives what that changes in the stack file as a unified diff.

        Nothing is edited unless everything else has succeeded. The same version again changes nothing. A workload that has no
        endpoint yet is given a node port.

        Raises:
            UserError: there is no such version, or it does not say where it comes from, or its evidence was changed.
        """
        before = stack_file.read(self.file)
        text = self._with_endpoint(before, workload)
        with progress.step(f"release {workload}") as step:
            model = find(self.models, workload, version)
            step.note(f"version {model.version}")
            digest, metrics, until = self.models.report(model)
            image = self._planned(model) if dry_run else self._image(model, progress)
            release = {
                "version": model.version,
                "run": model.run,
                "image": image,
                "data": model.tag("data"),
                "revision": model.tag("revision"),
                "trainer": model.tag("trainer"),
                "evidence": {
                    "version": model.version,
                    "data": model.tag("data"),
                    "report": digest,
                    "metrics": metrics,
                    **({"until": until} if until is not None else {}),
                },
            }
            after = stack_file.with_releases(
                text, workload, edits.with_stable(stack_file.releases(text).get(workload), release)
            )
            changes = stack_file.diff(self.file.name, before, after)
            if changes and not dry_run:
                self._write(before, after)
            step.note(f"version {model.version}" + ("" if changes else ", as it was"))
            return changes

    def _with_endpoint(self, text: str, workload: str) -> str:
        if workload not in WORKLOADS:
            fix = nearest(workload, WORKLOADS, f"name one of: {', '.join(sorted(WORKLOADS))}")
            raise UserError("There is no such workload.", found=workload, fix=fix)
        known = loading.load(self.file)
        if workload in known.workloads:
            return text
        port = consistency.free_node_port(known)
        if port is None:
            what = f"Stack {self.stack} has no node port left for an endpoint of {workload}."
            raise UserError(what, found=f"{known.cluster.node_ports} are taken", fix="widen cluster.nodePorts")
        return stack_file.with_endpoint(text, workload, port)

    def _write(self, before: str, after: str) -> None:
        stack_file.write(self.file, after)
        try:
            loading.load(self.file)
        except UserError:
            stack_file.write(self.file, before)
            raise

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
                self.models.fetch(model, context / "model")
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


@contextmanager
def scratch() -> Generator[Path]:
    """A folder for the length of the context. What a killed command left behind goes first."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    try:
        yield Path(tempfile.mkdtemp(dir=SCRATCH))
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
