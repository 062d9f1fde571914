"""Authentication challenges of container registries, and the files and helpers that have the credentials."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs

import httpx
import pytest

from clients.container_registry_login import ContainerRegistryAuth, Credentials, challenge, credentials
from common.errors import UserError

HOST = "team.example"
URL = f"https://{HOST}/v2/models/markdown/manifests/sha256:1"
BEARER = 'Bearer realm="https://door.example/token",service="team",scope="repository:models/markdown:pull"'


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The home folder of a machine on which nobody has logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return tmp_path


def write_docker_config(home, name=HOST, **more):
    auth = base64.b64encode(b"ali:open sesame").decode()
    (home / "config.json").write_text(json.dumps({"auths": {name: {"auth": auth, **more}}}))


class FakeContainerRegistry:
    """A container registry and its token server. Accepts only the newest token, or ali's password."""

    def __init__(self, scheme=BEARER):
        self.scheme, self.token_requests, self.requests = scheme, [], 0

    def __call__(self, request):
        if request.url.host == "door.example":
            parameters = parse_qs(request.content.decode()) or parse_qs(request.url.query.decode())
            self.token_requests.append((request.method, request.headers.get("Authorization"), parameters))
            return httpx.Response(200, json={"access_token": f"t{len(self.token_requests)}"})
        self.requests += 1
        bearer = self.scheme.startswith("Bearer")
        accepted = f"Bearer t{len(self.token_requests)}" if bearer else "Basic YWxpOm9wZW4gc2VzYW1l"
        if accepted != "Bearer t0" and request.headers.get("Authorization") == accepted:
            return httpx.Response(200)
        return httpx.Response(401, headers={"WWW-Authenticate": self.scheme})

    def client(self):
        return httpx.Client(transport=httpx.MockTransport(self), auth=ContainerRegistryAuth(HOST, "models/markdown"))


def test_a_token_is_requested_with_username_and_password_and_used_for_later_requests(home):
    write_docker_config(home)
    registry = FakeContainerRegistry()
    with registry.client() as client:
        assert [client.get(URL).status_code for _ in range(3)] == [200] * 3
    ((method, authorization, parameters),) = registry.token_requests
    assert (method, authorization) == ("GET", "Basic YWxpOm9wZW4gc2VzYW1l")
    assert parameters == {"service": ["team"], "scope": ["repository:models/markdown:pull"]}
    assert registry.requests == 4, "only the first request is refused once"


def test_an_expired_token_is_renewed(home):
    write_docker_config(home)
    registry = FakeContainerRegistry()
    with registry.client() as client:
        client.get(URL)
        registry.token_requests.append("a newer token makes the client's token invalid")
        assert client.get(URL).status_code == 200
    assert len(registry.token_requests) == 3


def test_an_identity_token_is_exchanged_for_a_token_of_the_repository(home):
    write_docker_config(home, identitytoken="refresh me")
    registry = FakeContainerRegistry()
    with registry.client() as client:
        assert client.get(URL).status_code == 200
    ((method, authorization, parameters),) = registry.token_requests
    assert (method, authorization) == ("POST", None)
    assert (parameters["grant_type"], parameters["refresh_token"]) == (["refresh_token"], ["refresh me"])


def test_a_token_of_a_public_container_registry_is_requested_without_credentials():
    registry = FakeContainerRegistry()
    with registry.client() as client:
        assert client.get(URL).status_code == 200
    assert registry.token_requests[0][1] is None


def test_a_password_is_sent_to_a_container_registry_that_asks_for_basic_authentication(home):
    registry = FakeContainerRegistry('Basic realm="cave"')
    with registry.client() as client:
        assert client.get(URL).status_code == 401, "nobody has logged in"
        write_docker_config(home)
        assert client.get(URL).status_code == 200


def test_a_challenge_without_a_token_server_stays_a_refusal():
    with FakeContainerRegistry('Bearer service="team"').client() as client:
        assert client.get(URL).status_code == 401


@pytest.mark.parametrize("name", [HOST, f"https://{HOST}"])
def test_credentials_are_found_under_the_names_that_docker_writes(home, name):
    write_docker_config(home, name)
    assert credentials(HOST) == Credentials(username="ali", password="open sesame")
    assert credentials("other.example") is None


def test_credentials_of_buildah_login_come_before_those_of_docker_login(home):
    write_docker_config(home)
    (home / "containers").mkdir()
    auth = base64.b64encode(b"baba:x").decode()
    (home / "containers" / "auth.json").write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))
    assert credentials(HOST) == Credentials(username="baba", password="x")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"Username": "ali", "Secret": "s"}, Credentials(username="ali", password="s")),
        ({"Username": "<token>", "Secret": "s"}, Credentials(username="<token>", identity_token="s")),
        (None, None),
    ],
)
def test_credentials_come_from_a_credential_helper(home, monkeypatch, output, expected):
    helper = home / "docker-credential-vault"
    command = f"echo '{json.dumps(output)}'" if output else "echo credentials not found; exit 1"
    helper.write_text(f'#!/bin/sh\nread host; [ "$1 $host" = "get {HOST}" ] || exit 2\n{command}\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    (home / "config.json").write_text(json.dumps({"credHelpers": {HOST: "vault"}}))
    assert credentials(HOST) == expected


def test_the_error_names_a_credential_helper_that_is_missing(home):
    (home / "config.json").write_text(json.dumps({"credsStore": "gone"}))
    with pytest.raises(UserError, match="docker-credential-gone get"):
        credentials(HOST)


@pytest.mark.parametrize("content", ["no json", '{"auths": []}', '{"auths": {"team.example": {"auth": "!"}}}'])
def test_the_error_names_a_credentials_file_that_cannot_be_read(home, content):
    (home / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"(?s)cannot be read.*config\.json"):
        credentials(HOST)


def test_a_challenge_is_parsed_into_scheme_and_parameters():
    assert challenge(BEARER) == (
        "bearer",
        {"realm": "https://door.example/token", "service": "team", "scope": "repository:models/markdown:pull"},
    )
    assert challenge("") == ("", {})
