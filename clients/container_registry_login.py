"""Logs in to container registries with the credentials that `docker login`, `buildah login` or `az acr login` stored here.

Implements the token authentication of the OCI distribution specification and basic authentication (RFC 7617). Credentials are
sent to the container registry, or to the token server that its challenge names, and only after a challenge.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import httpx
from pydantic import BaseModel, Field, ValidationError

from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Generator

_HELPER_SECONDS: Final = 30
_IDENTITY_TOKEN_USERS: Final = frozenset({"<token>", "00000000-0000-0000-0000-000000000000"})
"""Usernames which mean that the secret is an identity token and not a password: docker's, and that of Azure's registries."""
_ALIASES: Final = {"docker.io": "https://index.docker.io/v1/"}
"""Hosts whose credentials docker stores under another name."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A username with a password or with an identity token.

    An identity token (OAuth 2 refresh token) belongs to a person; it is exchanged for a short-lived token for one repository.
    """

    username: str
    password: str = ""
    identity_token: str = ""


class _Entry(BaseModel):
    auth: str = ""
    identitytoken: str = ""


class _Config(BaseModel):
    """The part of docker's config.json that concerns container registries."""

    auths: dict[str, _Entry] = Field(default_factory=dict[str, _Entry])
    helpers: dict[str, str] = Field(default_factory=dict[str, str], alias="credHelpers")
    store: str = Field(default="", alias="credsStore")


class ContainerRegistryAuth(httpx.Auth):
    """Answers the authentication challenges of a container registry, and sends the same answer with all later requests.

    Args:
        registry: address of the container registry, as in image names.
        repository: repository that is read and written.
    """

    def __init__(self, registry: str, repository: str) -> None:
        self._host = registry.partition("/")[0]
        self._scope = f"repository:{repository}:pull,push"
        self._header = ""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Implements `httpx.Auth`. Does not read the body of a successful response: a layer of an image is streamed."""
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return
        scheme, parameters = challenge(response.headers.get("WWW-Authenticate", ""))
        login = credentials(self._host)
        if scheme == "basic" and login is not None:
            self._header = _basic(login)
        elif scheme == "bearer" and "realm" in parameters:
            token_response = yield self._token_request(parameters, login)
            if not token_response.is_success:
                return
            token_response.read()
            payload = cast("dict[str, Any]", token_response.json())  # JSON of a token server
            self._header = f"Bearer {payload.get('token') or payload.get('access_token')}"
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _token_request(self, parameters: dict[str, str], login: Credentials | None) -> httpx.Request:
        query = {"service": parameters.get("service", ""), "scope": parameters.get("scope") or self._scope}
        if login is not None and login.identity_token:
            form = {**query, "grant_type": "refresh_token", "refresh_token": login.identity_token}
            return httpx.Request("POST", parameters["realm"], data=form)
        headers = {"Authorization": _basic(login)} if login is not None else {}
        return httpx.Request("GET", parameters["realm"], params=query, headers=headers)


def challenge(header: str) -> tuple[str, dict[str, str]]:
    """Returns scheme, in lower case, and parameters of a `WWW-Authenticate` header with one challenge (RFC 9110, 11.6.1)."""
    scheme, _, rest = header.partition(" ")
    return scheme.lower(), {name.lower(): value for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}


def credentials(host: str) -> Credentials | None:
    """Returns the stored credentials for a container registry, or None if nobody has logged in to it on this machine.

    Raises:
        UserError: a credentials file cannot be read, or a credential helper fails.
    """
    names = (host, f"https://{host}", _ALIASES.get(host, host))
    for file in _files():
        if not file.is_file():
            continue
        try:
            config = _Config.model_validate_json(file.read_text(encoding="utf-8"))
            login = next(filter(None, (_from_entry(config.auths[name]) for name in names if name in config.auths)), None)
        except (ValidationError, ValueError) as error:
            message = str(error).splitlines()[0]
            raise UserError("The credentials file cannot be read.", where=str(file), found=message) from None
        if helper := config.helpers.get(host, config.store):
            login = login or _from_helper(helper, host)
        if login:
            return login
    return None


def _files() -> list[Path]:
    """Returns the files that may contain credentials, in the order in which buildah and docker read them."""
    explicit = os.environ.get("REGISTRY_AUTH_FILE")
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    docker = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    defaults = [Path(runtime) / "containers" / "auth.json", docker / "config.json"]
    return [Path(explicit), *defaults] if explicit else defaults


def _from_entry(entry: _Entry) -> Credentials | None:
    if not entry.auth:
        return None
    username, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    return Credentials(username=username, password=password.rstrip("\0"), identity_token=entry.identitytoken)


def _from_helper(helper: str, host: str) -> Credentials | None:
    """Runs `docker-credential-HELPER get`. The helper fails if it has no credentials for the host: the result is then None."""
    command = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(command, input=host, capture_output=True, text=True, check=False, timeout=_HELPER_SECONDS)
        if done.returncode != 0:
            return None
        payload = cast("dict[str, str]", json.loads(done.stdout))
        username, secret = payload["Username"], payload["Secret"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        raise UserError("A credential helper failed.", where=" ".join(command), found=error) from None
    if username in _IDENTITY_TOKEN_USERS:
        return Credentials(username=username, identity_token=secret)
    return Credentials(username=username, password=secret)


def _basic(login: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
