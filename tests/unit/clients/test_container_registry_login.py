"""Challenges of container registries, and where the answers are found."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs

import httpx
import pytest

from clients.container_registry_login import Credentials, Login, challenge, credentials
from common.errors import UserError

HOST = "team.example"
URL = f"https://{HOST}/v2/models/markdown/manifests/sha256:1"
BEARER = 'Bearer realm="https://door.example/token",service="team",scope="repository:models/markdown:pull"'


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A machine on which nobody has logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return tmp_path


def known(home, name=HOST, **more):
    auth = base64.b64encode(b"ali:open sesame").decode()
    (home / "config.json").write_text(json.dumps({"auths": {name: {"auth": auth, **more}}}))


class Registry:
    """A registry and its token server. Lets in whoever shows the token that was given out last."""

    def __init__(self, scheme=BEARER):
        self.scheme, self.asked, self.requests = scheme, [], 0

    def __call__(self, request):
        if request.url.host == "door.example":
            body = parse_qs(request.content.decode()) or parse_qs(request.url.query.decode())
            self.asked.append((request.method, request.headers.get("Authorization"), body))
            return httpx.Response(200, json={"access_token": f"t{len(self.asked)}"})
        self.requests += 1
        right = f"Bearer t{len(self.asked)}" if self.scheme.startswith("Bearer") else "Basic YWxpOm9wZW4gc2VzYW1l"
        if right != "Bearer t0" and request.headers.get("Authorization") == right:
            return httpx.Response(200)
        return httpx.Response(401, headers={"WWW-Authenticate": self.scheme})

    def client(self):
        return httpx.Client(transport=httpx.MockTransport(self), auth=Login(HOST, "models/markdown"))


def test_a_token_is_asked_for_with_name_and_password_and_kept(home):
    known(home)
    registry = Registry()
    with registry.client() as client:
        assert [client.get(URL).status_code for _ in range(3)] == [200] * 3
    ((method, authorization, asked),) = registry.asked
    assert (method, authorization) == ("GET", "Basic YWxpOm9wZW4gc2VzYW1l")
    assert asked == {"service": ["team"], "scope": ["repository:models/markdown:pull"]}
    assert registry.requests == 4, "refused once"


def test_a_token_that_has_expired_is_renewed(home):
    known(home)
    registry = Registry()
    with registry.client() as client:
        client.get(URL)
        registry.asked.append("another one was given out")
        assert client.get(URL).status_code == 200
    assert len(registry.asked) == 3


def test_a_token_that_stands_for_a_person_is_changed_for_one_of_the_repository(home):
    known(home, identitytoken="refresh me")
    registry = Registry()
    with registry.client() as client:
        assert client.get(URL).status_code == 200
    ((method, authorization, asked),) = registry.asked
    assert (method, authorization) == ("POST", None)
    assert (asked["grant_type"], asked["refresh_token"]) == (["refresh_token"], ["refresh me"])


def test_a_public_registry_gives_a_token_to_anybody():
    registry = Registry()
    with registry.client() as client:
        assert client.get(URL).status_code == 200
    assert registry.asked[0][1] is None


def test_a_password_is_told_to_who_asks_for_one(home):
    registry = Registry('Basic realm="cave"')
    with registry.client() as client:
        assert client.get(URL).status_code == 401, "nobody has logged in"
        known(home)
        assert client.get(URL).status_code == 200


def test_a_challenge_that_does_not_say_where_tokens_are_is_left_as_a_refusal():
    with Registry('Bearer service="team"').client() as client:
        assert client.get(URL).status_code == 401


@pytest.mark.parametrize("name", [HOST, f"https://{HOST}"])
def test_credentials_are_found_under_the_names_that_docker_writes(home, name):
    known(home, name)
    assert credentials(HOST) == Credentials(username="ali", password="open sesame")
    assert credentials("other.example") is None


def test_what_buildah_login_left_is_found_first(home):
    known(home)
    (home / "containers").mkdir()
    auth = base64.b64encode(b"baba:x").decode()
    (home / "containers" / "auth.json").write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))
    assert credentials(HOST) == Credentials(username="baba", password="x")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"Username": "ali", "Secret": "s"}, Credentials(username="ali", password="s")),
        ({"Username": "<token>", "Secret": "s"}, Credentials(username="<token>", identity="s")),
        (None, None),
    ],
)
def test_a_helper_is_asked(home, monkeypatch, said, expected):
    helper = home / "docker-credential-vault"
    answer = f"echo '{json.dumps(said)}'" if said else "echo credentials not found; exit 1"
    helper.write_text(f'#!/bin/sh\nread host; [ "$1 $host" = "get {HOST}" ] || exit 2\n{answer}\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    (home / "config.json").write_text(json.dumps({"credHelpers": {HOST: "vault"}}))
    assert credentials(HOST) == expected


def test_a_helper_that_is_not_there_is_named(home):
    (home / "config.json").write_text(json.dumps({"credsStore": "gone"}))
    with pytest.raises(UserError, match="docker-credential-gone get"):
        credentials(HOST)


@pytest.mark.parametrize("content", ["no json", '{"auths": []}', '{"auths": {"team.example": {"auth": "!"}}}'])
def test_a_file_that_is_no_good_is_named(home, content):
    (home / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"(?s)cannot be read.*config\.json"):
        credentials(HOST)


def test_a_challenge_is_read():
    assert challenge(BEARER) == (
        "bearer",
        {"realm": "https://door.example/token", "service": "team", "scope": "repository:models/markdown:pull"},
    )
    assert challenge("") == ("", {})
