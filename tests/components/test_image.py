from __future__ import annotations

import pulumi
import pulumi_random as random

from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.image import Image, ImageArgs
from tests.harness import run


def program():
    node = random.RandomPassword("node", length=1)  # a stand-in for the resource that runs the container registry
    registry = ContainerRegistry("registry", ContainerRegistryArgs(address="localhost:5000", served_by=[node]))
    dockerfile = "components/images/postgres/Dockerfile"
    image = Image("postgres", ImageArgs(registry=registry, dockerfile=dockerfile, base="localhost:5000/base:bookworm"))
    pulumi.export("ref", image.ref)


def test_the_reference_of_an_image_has_a_digest():
    ref = run(program).outputs["ref"]
    assert ref.startswith("localhost:5000/postgres@sha256:"), "a tag could point to another image later"


def test_an_image_is_built_from_the_checkout_on_the_base_of_the_environment():
    build = run(program).one("Image", "postgres-image").inputs["build"]
    assert build["args"] == {"BASE": "localhost:5000/base:bookworm"}
    assert build["context"] == ".", "an absolute path would differ from checkout to checkout"


def test_an_image_depends_on_the_resource_that_runs_the_container_registry():
    assert "node" in run(program).one("Image", "postgres-image").dependencies, "a push before the registry runs would fail"
