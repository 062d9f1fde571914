"""Images on the move, between two real registries."""

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
    """Two registries."""
    with registry_in(tmp_path_factory.mktemp("one")) as one, registry_in(tmp_path_factory.mktemp("other")) as other:
        yield one, other


@pytest.fixture(scope="module")
def pushed(addresses, tmp_path_factory):
    """The digest of an image in the first."""
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /\nCOPY small /\n")
    (context / "large").write_bytes(os.urandom(3 << 20))
    (context / "small").write_text("small")
    tag, builder = f"{addresses[0]}/moved:tag", Builder()
    builder.build(context, context / "Dockerfile", {}, tag, Quiet())
    yield builder.push(tag, Quiet())
    builder.remove([tag], Quiet())


def test_an_image_keeps_its_digest_in_another_registry(addresses, pushed):
    one, other = addresses
    assert container_registry.digest_of(other, "moved", pushed) is None
    container_registry.copy_image(one, other, "moved", pushed)
    assert container_registry.digest_of(other, "moved", pushed) == pushed
    container_registry.copy_image(one, other, "moved", pushed)
    with container_registry.Repository(one, "moved") as theirs, container_registry.Repository(other, "moved") as ours:
        manifest = ours.get(f"manifests/{pushed}")
        assert theirs.get(f"manifests/{pushed}").content == manifest.content, "promoted, not made again"
        for layer in manifest.json()["layers"]:
            assert len(ours.get(f"blobs/{layer['digest']}").content) == layer["size"]


def test_a_registry_that_asks_for_a_password_gets_the_one_that_docker_login_left(addresses, pushed, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry_in(tmp_path, closed=True) as closed:
        with pytest.raises(UserError, match="401 Unauthorized"):
            container_registry.copy_image(addresses[0], closed, "moved", pushed)
        known = {"auths": {closed: {"auth": base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(known))
        container_registry.copy_image(addresses[0], closed, "moved", pushed)
        assert container_registry.digest_of(closed, "moved", pushed) == pushed


@pytest.mark.parametrize("broken", ["nothing there", "nobody there"])
def test_an_image_that_cannot_be_brought_is_told_with_another_way(addresses, pushed, broken):
    one, other = addresses
    digest = "sha256:" + "0" * 64 if broken == "nothing there" else pushed
    source = one if broken == "nothing there" else "localhost:1"
    with pytest.raises(UserError, match="skopeo copy --preserve-digests"):
        container_registry.copy_image(source, other, "moved", digest)
    assert container_registry.digest_of(other, "moved", "sha256:" + "0" * 64) is None
