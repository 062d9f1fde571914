"""Lookups and copies of images in real container registries, and in servers that are none."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clients import container_registry
from clients.container_registry import Account
from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from tests.engine.harness.processes import executable
from tests.engine.harness.registries import NAME, PASSWORD, registry_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the container registry runs in the userland, which needs root")

IMAGE, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
NOWHERE = "sha256:" + "0" * 64
ALONE = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module", autouse=True)
def client():
    """The executable that the client runs."""
    return executable("container_registry")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder for credentials, which has none. The real home holds the cache of the userland."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / ".docker"))
    (tmp_path / ".docker").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """The addresses of two container registries."""
    with registry_in(tmp_path_factory.mktemp("one")) as one, registry_in(tmp_path_factory.mktemp("other")) as other:
        yield one, other


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def request(method, url, content=None, media_type=IMAGE):
    headers = {"Content-Type": media_type, "Accept": f"{IMAGE}, {INDEX}"}
    asked = urllib.request.Request(url, method=method, data=content, headers=headers)
    with urllib.request.urlopen(asked) as response:
        return response.read(), response.headers


def push_blob(address, repository, content):
    _, headers = request("POST", f"http://{address}/v2/{repository}/blobs/uploads/", b"")
    request("PUT", f"{headers['Location']}&digest={digest_of(content)}", content, "application/octet-stream")
    return {"mediaType": "application/octet-stream", "digest": digest_of(content), "size": len(content)}


def push(address, repository, content, media_type, tag):
    request("PUT", f"http://{address}/v2/{repository}/manifests/{tag}", content, media_type)
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def push_image(address, repository, layer, tag="tag", architecture="amd64"):
    config = json.dumps({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    described = push_blob(address, repository, config) | {"mediaType": "application/vnd.oci.image.config.v1+json"}
    layers = [push_blob(address, repository, layer) | {"mediaType": "application/vnd.oci.image.layer.v1.tar"}]
    # No serialiser writes these spaces: a copy that is written again has another digest.
    content = json.dumps(
        {"schemaVersion": 2, "mediaType": IMAGE, "config": described, "layers": layers}, indent=1, separators=(" , ", " :  ")
    )
    return push(address, repository, content.encode(), IMAGE, tag)


@pytest.fixture(scope="module")
def pushed(addresses):
    """The digest of an image in the first container registry, with a layer of 3 MiB."""
    return push_image(addresses[0], "moved", os.urandom(3 << 20))["digest"]


def test_a_copied_image_keeps_its_digest(addresses, pushed):
    one, other = addresses
    assert container_registry.digest_of(one, "moved", "tag") == Found(pushed)
    assert container_registry.digest_of(other, "moved", pushed) == Absent(), "the repository does not exist yet"
    container_registry.copy_image(one, other, "moved", pushed)
    assert container_registry.digest_of(other, "moved", pushed) == Found(pushed)
    assert container_registry.digest_of(other, "moved", NOWHERE) == Absent()
    container_registry.copy_image(one, other, "moved", pushed)
    copies = [request("GET", f"http://{address}/v2/moved/manifests/{pushed}")[0] for address in (one, other)]
    assert copies[0] == copies[1], "the image is copied and not built again"
    for layer in json.loads(copies[1])["layers"]:
        assert len(request("GET", f"http://{other}/v2/moved/blobs/{layer['digest']}")[0]) == layer["size"]


def test_an_index_of_several_architectures_is_copied_with_all_its_images(addresses):
    one, other = addresses
    images = [
        {**push_image(one, "both", name.encode(), name, name), "platform": {"architecture": name, "os": "linux"}}
        for name in ("amd64", "arm64")
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}, indent=3).encode()
    index = push(one, "both", content, INDEX, "tag")
    assert container_registry.digest_of(one, "both", "tag") == Found(index["digest"])
    container_registry.copy_image(one, other, "both", index["digest"])
    assert request("GET", f"http://{other}/v2/both/manifests/{index['digest']}")[0] == content
    for image in images:
        assert container_registry.digest_of(other, "both", image["digest"]) == Found(image["digest"])


def test_a_login_of_docker_is_used(addresses, pushed, home, tmp_path):
    with registry_in(tmp_path, login=True) as target:
        with pytest.raises(UserError, match="401 Unauthorized"):
            container_registry.copy_image(addresses[0], target, "moved", pushed)
        refused = container_registry.digest_of(target, "moved", pushed)
        assert isinstance(refused, Unknown)
        assert refused.reason.startswith("401")
        assert "docker login" in refused.fix
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": {target: {"auth": ALONE}}}))
        assert container_registry.digest_of(target, "moved", pushed) == Absent()
        container_registry.copy_image(addresses[0], target, "moved", pushed)
        assert container_registry.digest_of(target, "moved", pushed) == Found(pushed)


@pytest.mark.parametrize("how", ["account", "podman", "podman beside docker", "helper"])
def test_every_other_way_to_log_in(how, home, tmp_path, monkeypatch):
    with registry_in(tmp_path, login=True) as target:
        file = {"auths": {target: {"auth": ALONE}}}
        if how.startswith("podman"):
            (home / "auth.json").write_text(json.dumps(file))
            monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / "auth.json"))
        if how == "podman beside docker":
            (home / ".docker" / "config.json").write_text(json.dumps({"auths": {"elsewhere.example": {"auth": ALONE}}}))
        if how == "helper":
            (home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {target: "safe"}}))
            helper = home / "docker-credential-safe"
            helper.write_text(f'#!/bin/sh\ncat > {home}/asked\necho \'{{"Username": "{NAME}", "Secret": "{PASSWORD}"}}\'\n')
            helper.chmod(0o755)
            monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
        account = Account(NAME, PASSWORD) if how == "account" else None
        assert container_registry.digest(f"{target}/any:tag", account) == Absent()
        if account:
            refused = container_registry.digest(f"{target}/any:tag", Account(NAME, "wrong"))
            assert isinstance(refused, Unknown)


@pytest.mark.parametrize("content", ["#!/bin/sh\nsleep 60\n", "#!/bin/sh\necho nonsense\n", ""])
def test_a_credential_helper_that_hangs_fails_or_is_missing_is_no_answer(addresses, home, monkeypatch, content):
    (home / ".docker" / "config.json").write_text(json.dumps({"credsStore": "broken"}))
    if content:
        (home / "docker-credential-broken").write_text(content)
        (home / "docker-credential-broken").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    monkeypatch.setattr(container_registry, "_LOOKUP_SECONDS", 1.5)
    answer = container_registry.digest_of(addresses[0], "moved", "tag")
    assert isinstance(answer, Unknown), answer


@pytest.mark.parametrize("missing", ["the image", "the container registry", "the client"])
def test_the_error_of_a_failed_copy_says_what_failed(addresses, pushed, missing, monkeypatch, tmp_path):
    one, other = addresses
    if missing == "the client":
        monkeypatch.setattr(paths, "BIN", tmp_path)
    digest = NOWHERE if missing == "the image" else pushed
    source = "localhost:1" if missing == "the container registry" else one
    message = {
        "the image": f"{one}.*does not have this image",
        "the container registry": "localhost:1.*connection refused",
        "the client": "modelstack tools",
    }
    with pytest.raises(UserError, match=f"(?s){message[missing]}"):
        container_registry.copy_image(source, other, "never", digest)


class Server(BaseHTTPRequestHandler):
    """Answers requests for manifests with the class's response, and accepts all others."""

    status, ping, body, headers_sent, seen = 200, 200, b"", {}, []

    def do_GET(self):
        type(self).seen.append((self.path, self.headers.get("Authorization")))
        manifest = "/manifests/" in self.path or self.ping != 200
        self.send_response(self.status if manifest else 200)
        for name, value in self.headers_sent.items() if manifest else ():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_HEAD = do_GET  # noqa: N815 the name of the base class

    def log_message(self, *_):
        pass


@contextmanager
def serving(context=None, **attributes):
    """A server of the test's own: its address, and its class."""
    handler = type("Handler", (Server,), {"seen": [], **attributes})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"localhost:{server.server_port}", handler
        server.shutdown()


HTML = {"body": b"<html>Log in to this network</html>", "headers_sent": {"Content-Type": "text/html"}}
UNKNOWN_IMAGE = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"status": 200, **HTML}, "Docker-Content-Digest"),
        ({"status": 404, **HTML}, "not from a container registry"),
        ({"status": 404}, "not from a container registry"),
        ({"status": 401, **HTML}, "401 Unauthorized"),
        ({"status": 403}, "403 Forbidden"),
        ({"status": 429}, "429 Too Many Requests"),
        ({"status": 500}, "500 Internal Server Error"),
        ({"status": 200, "headers_sent": {"Docker-Content-Digest": NOWHERE, "Content-Type": "text/html"}}, "not an image"),
        ({"status": 200, "headers_sent": {"Docker-Content-Digest": "md5:1", "Content-Type": IMAGE}}, "md5"),
        ({"status": 500, "body": UNKNOWN_IMAGE}, "500 Internal Server Error"),
    ],
)
def test_only_a_container_registry_that_says_so_lacks_an_image(response, reason):
    with serving(**response) as (address, _):
        answer = container_registry.digest_of(address, "moved", "tag")
    assert isinstance(answer, Unknown)
    assert reason in answer.reason
    assert address in answer.where


def test_the_error_code_of_a_container_registry_means_absent():
    with serving(status=404, body=UNKNOWN_IMAGE) as (address, _):
        assert container_registry.digest_of(address, "moved", "tag") == Absent()


def test_a_container_registry_that_refuses_connections_is_unknown():
    answer = container_registry.digest_of("localhost:1", "moved", "tag")
    assert isinstance(answer, Unknown)
    assert "connection refused" in answer.reason


def test_credentials_are_not_sent_to_a_token_server_without_encryption(home):
    challenge = {"WWW-Authenticate": 'Bearer realm="http://token.example/token",service="x"'}
    with serving(status=401, ping=401, headers_sent=challenge) as (address, _):
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": {address: {"auth": ALONE}}}))
        answer = container_registry.digest_of(address, "moved", "tag")
    assert isinstance(answer, Unknown)
    assert "without encryption" in answer.reason


def test_a_container_registry_with_a_certificate_that_nobody_trusts_is_unknown(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2"
    subprocess.run([*command.split(), "-keyout", tmp_path / "key", "-out", tmp_path / "crt"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    with serving(context=context) as (address, _):
        answer = container_registry.digest_of(address, "moved", "tag")
    assert isinstance(answer, Unknown)
    assert "certificate signed by unknown authority" in answer.reason
    assert "trust the certificate authority" in answer.fix


def test_credentials_are_not_sent_to_a_server_that_a_redirect_names(home):
    with serving(status=401, headers_sent={"WWW-Authenticate": 'Basic realm="here"'}) as (stranger, at_stranger):
        moved = {"status": 307, "headers_sent": {"Location": f"http://{stranger}/v2/moved/manifests/tag"}}
        with serving(**moved) as (address, at_registry):
            (home / ".docker" / "config.json").write_text(json.dumps({"auths": {address: {"auth": ALONE}}}))
            assert isinstance(container_registry.digest_of(address, "moved", "tag"), Unknown)
    assert at_registry.seen
    assert at_stranger.seen, "the client follows the redirect"
    assert {login for _, login in at_stranger.seen} == {None}


def test_a_layer_that_the_target_has_in_another_repository_is_mounted_and_not_uploaded(tmp_path):
    with registry_in(tmp_path) as address:
        image = push_image(address, "first", os.urandom(1 << 20))
        client = paths.BIN / container_registry.EXECUTABLE
        images = [f"{address}/{name}@{image['digest']}" for name in ("first", "second")]
        subprocess.run([client, "copy", *images], check=True)
        log = (tmp_path / "log").read_text()
    mounts = [line for line in log.splitlines() if "POST" in line and "second/blobs/uploads" in line]
    assert mounts
    assert all("mount=" in line for line in mounts), mounts
    assert "PATCH" not in "".join(line for line in log.splitlines() if "second" in line), "no layer is sent"
