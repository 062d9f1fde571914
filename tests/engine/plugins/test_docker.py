"""`docker.Image` through the real engine: built in the userland, pushed to a registry of the test's own."""

import json
import os
import shutil
import urllib.request

import pytest

from local.images import Builder
from tests.engine.harness.plain import project, template
from tests.engine.harness.processes import Quiet, free_port
from tests.engine.harness.registries import registry_in

__all__ = ["project", "template"]  # fixtures

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="building images needs root")


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """The registry's files."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(storage):
    """Its address."""
    with registry_in(storage) as address:
        yield address
        Builder().remove([f"{address}/{name}:tag" for name in ("argument", "asked", "lost", "thing")], Quiet())


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nARG NOTE=none\nLABEL note=${NOTE}\nCOPY kept.txt /\n")
    (folder / "Dockerfile.dockerignore").write_text("*\n!kept.txt\n")
    (folder / "kept.txt").write_text("kept")
    (folder / "left.txt").write_text("left out")
    return folder


HEAD = "import pulumi\nimport pulumi_docker as docker\n"


def declare(context, registry, name="thing", more="", **changes):
    """A program with one image, whose outputs it exports."""
    build = {"context": str(context), "dockerfile": str(context / "Dockerfile"), **changes}
    image = f"image = docker.Image('image', build={build!r}, image_name='{registry}/{name}:tag')\n"
    outputs = ("repo_digest", "image_name", "base_image_name", "registry_server")
    return HEAD + image + "".join(f"pulumi.export('{key}', image.{key})\n" for key in outputs) + more


def manifest(reference):
    repository, digest = reference.split("@")
    server, name = repository.split("/", 1)
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://{server}/v2/{name}/manifests/{digest}", headers=accept)
    ) as answer:
        return json.load(answer)


def test_an_image_is_built_once_and_again_when_what_it_is_made_of_changes(project, context, registry):
    preview = project.preview(declare(context, registry))
    assert preview.operations["image"] == ["create"], preview.error
    first = project.up(declare(context, registry))
    assert first.operations["image"] == ["create"], first.error
    assert first.outputs["image_name"] == first.outputs["base_image_name"] == f"{registry}/thing:tag"
    assert first.outputs["registry_server"] == registry
    assert first.outputs["repo_digest"].startswith(f"{registry}/thing@sha256:")
    layers = manifest(first.outputs["repo_digest"])["layers"]
    assert layers, "the registry knows the image by that digest"
    assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}

    (context / "left.txt").write_text("changed")
    assert project.up(declare(context, registry)).operations["image"] == ["same"], "the ignore file leaves it out"

    (context / "kept.txt").write_text("changed")
    changed = project.preview(declare(context, registry))
    assert changed.operations["image"] == ["update"]
    assert changed.differences["image"] == {"build.contextDigest": "update"}
    second = project.up(declare(context, registry))
    assert second.operations["image"] == ["update"], second.error
    assert second.outputs["repo_digest"] != first.outputs["repo_digest"]
    assert project.up(declare(context, registry)).operations["image"] == ["same"]


def test_another_argument_is_another_image(project, context, registry):
    first = project.up(declare(context, registry, "argument", args={"NOTE": "a"}))
    second = project.up(declare(context, registry, "argument", args={"NOTE": "b"}))
    assert set(second.differences["image"]) == {"build.args.NOTE", "build.contextDigest"}
    assert first.outputs["repo_digest"] != second.outputs["repo_digest"]


def test_an_image_that_the_registry_has_lost_is_gone_after_a_refresh(project, context, registry, storage):
    project.up(declare(context, registry, "lost"))
    shutil.rmtree(storage / "docker" / "registry" / "v2" / "repositories" / "lost")
    assert not project.refresh().failed
    assert project.up(declare(context, registry, "lost")).operations["image"] == ["create"]


def test_a_step_that_fails_is_told_with_its_output(project, context, registry):
    (context / "Dockerfile").write_text("FROM scratch\nCOPY gone.txt /\n")
    failed = project.up(declare(context, registry, "failing"))
    assert failed.failed
    assert "COPY gone.txt" in failed.error
    assert "image failing failed" in failed.error


def test_a_context_that_is_not_there_fails_the_preview(project, tmp_path, registry):
    failed = project.preview(declare(tmp_path / "none", registry))
    assert failed.failed
    assert "build.context" in failed.error


def test_a_registry_that_does_not_answer_is_told(project, context):
    failed = project.up(declare(context, f"localhost:{free_port()}"))
    assert failed.failed
    assert "connection refused" in failed.error


def test_the_digest_of_a_pushed_image_can_be_asked_for(project, context, registry):
    name = f"image.repo_digest.apply(lambda _: '{registry}/asked:tag')"
    more = f"pulumi.export('digest', docker.get_registry_image_output(name={name}).sha256_digest)\n"
    done = project.up(declare(context, registry, "asked", more))
    assert done.outputs["repo_digest"].endswith(done.outputs["digest"])
