"""Copies of images between two real container registries."""

from __future__ import annotations

import base64
import json
import os

import pytest

from clients import container_registry
from common.errors import UserError
from local.images import Builder
from tests.engine.harness.processes import Quiet
from tests.engine.harness.registries import NAME, PASSWORD, registry_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="building images needs root")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """The addresses of two container registries."""
    with registry_in(tmp_path_factory.mktemp("one")) as one, registry_in(tmp_path_factory.mktemp("other")) as other:
        yield one, other


@pytest.fixture(scope="module")
def pushed(addresses, tmp_path_factory):
    """Pushes an image to the first container registry: its digest."""
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /\nCOPY small /\n")
    (context / "large").write_bytes(os.urandom(3 << 20))
    (context / "small").write_text("small")
    tag, builder = f"{addresses[0]}/moved:tag", Builder()
    builder.build(context, context / "Dockerfile", {}, tag, Quiet())
    yield builder.push(tag, Quiet())
    builder.remove([tag], Quiet())


def test_a_copied_image_keeps_its_digest(addresses, pushed):
    one, other = addresses
    assert container_registry.digest_of(other, "moved", pushed) is None
    container_registry.copy_image(one, other, "moved", pushed)
    assert container_registry.digest_of(other, "moved", pushed) == pushed
    container_registry.copy_image(one, other, "moved", pushed)
    with container_registry.Repository(one, "moved") as source, container_registry.Repository(other, "moved") as target:
        manifest = target.get(f"manifests/{pushed}")
        assert source.get(f"manifests/{pushed}").content == manifest.content, "the image is copied and not built again"
        for layer in manifest.json()["layers"]:
            assert len(target.get(f"blobs/{layer['digest']}").content) == layer["size"]


def test_a_container_registry_that_requires_a_login_gets_the_password_of_docker_login(addresses, pushed, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry_in(tmp_path, login=True) as target:
        with pytest.raises(UserError, match="401 Unauthorized"):
            container_registry.copy_image(addresses[0], target, "moved", pushed)
        config = {"auths": {target: {"auth": base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        container_registry.copy_image(addresses[0], target, "moved", pushed)
        assert container_registry.digest_of(target, "moved", pushed) == pushed


@pytest.mark.parametrize("missing", ["the image", "the container registry"])
def test_the_error_of_a_failed_copy_shows_a_command_that_copies_the_image(addresses, pushed, missing):
    one, other = addresses
    digest = "sha256:" + "0" * 64 if missing == "the image" else pushed
    source = one if missing == "the image" else "localhost:1"
    with pytest.raises(UserError, match="skopeo copy --preserve-digests"):
        container_registry.copy_image(source, other, "moved", digest)
    assert container_registry.digest_of(other, "moved", "sha256:" + "0" * 64) is None
