"""Test helpers for promotion: stack files, deployed releases, and a model registry with evidence."""

from __future__ import annotations

from clients.model_registry import ModelVersion
from delivery.releases.promoter import Promoter
from delivery.releases.release_command import ReleaseCommand
from delivery.releases.stack_editor import StackEditor, StackReleases
from delivery.stacks import stack_file
from infra.promotion.deployed import DeployedReleases
from tests.releases import (
    DIGEST,
    MARKDOWN,
    METRICS,
    RUN,
    TODAY,
    TRAINER,
)
from tests.tiers import tier_of

FILE = """\
# comment
config:
  modelstack:cluster: {kind: existing, context: %s, host: c.example}
  modelstack:images: {registry: %s}
  modelstack:workloads:
    markdown: {nodePort: 30001}   # second comment
"""


class FakeModelRegistry:
    """A model registry whose records match the releases of the tests, except for the given changes."""

    def __init__(self, **changes):
        self.changes = changes

    def version(self, name, version):
        if version == self.changes.get("deleted"):
            return None
        tags = {"data": DIGEST, "revision": "1a2b3c4d5e6f", "trainer": TRAINER, "report": DIGEST}
        return ModelVersion(name=name, version=version, run=RUN, tags=tags | self.changes.get("tags", {}))

    def report(self, _model):
        return self.changes.get("digest", DIGEST), self.changes.get("metrics", METRICS), self.changes.get("until")


def command(name, stack, workload=MARKDOWN, **options):
    """Returns the command `modelstack NAME markdown` for an environment."""
    return ReleaseCommand(name=f"{name} markdown", tier=tier_of(stack), workload=workload, **options)


class World:
    """Stack files in a folder, and a record of the images that were copied between their container registries."""

    def __init__(self, folder):
        self.folder, self.copied_images = folder, []

    def file(self, stack):
        return self.folder / f"Pulumi.{stack}.yaml"

    def write(self, stack, block=None, registry="registry.example"):
        text = FILE % (stack, registry)
        self.file(stack).write_text(stack_file.with_releases(text, "markdown", block) if block else text)

    def block(self, stack):
        """Returns the releases of markdown in a stack file."""
        return stack_file.releases(self.file(stack).read_text())["markdown"]

    def read(self, stack, workload=MARKDOWN):
        file = self.file(stack)
        return StackReleases(tier=tier_of(stack), file=file, text=file.read_text(), workload=workload)

    def editor(self, stack, deployed=None, workload=MARKDOWN):
        file, text = self.file(stack), self.file(stack).read_text()
        deployed = deployed or DeployedReleases()
        return StackEditor(tier=tier_of(stack), file=file, text=text, workload=workload, deployed=deployed, today=TODAY)

    def promoter(self, source, stack, deployed=None, registry=None, workload=MARKDOWN):
        return Promoter(
            target=self.editor(stack, deployed, workload),
            source=self.read(source),
            evidence=lambda: registry or FakeModelRegistry(),
            copy_image=lambda *args: self.copied_images.append(args),
        )

    def promote(self, source, stack, version=None, **options):
        promoter = self.promoter(source, stack, **options)
        return promoter.promote(promoter.from_source(version))

    def canary(self, source, stack, version, percent):
        promoter = self.promoter(source, stack)
        return promoter.canary(promoter.retained_or_from_source(version), percent)

    def shadow(self, source, stack, version):
        promoter = self.promoter(source, stack)
        return promoter.shadow(promoter.retained_or_from_source(version))
