"""How a container registry lets us in: with what `docker login`, `buildah login` or `az acr login` have left on this machine.

Challenge and answer are those of the OCI distribution's token authentication; a registry may ask for a password instead (RFC
7617). One that asks for nothing is told nothing.
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
_PERSONS: Final = frozenset({"<token>", "00000000-0000-0000-0000-000000000000"})
"""Names that go with a token that stands for a person: docker's, and that of Azure's registries."""
_OTHER_NAMES: Final = {"docker.io": "https://index.docker.io/v1/"}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A name and what proves it: a password, or a token to get others with (`identity`)."""

    username: str
    password: str = ""
    identity: str = ""


class _Entry(BaseModel):
    auth: str = ""
    identitytoken: str = ""


class _Config(BaseModel):
    """docker's config.json, as far as it is about registries."""

    auths: dict[str, _Entry] = Field(default_factory=dict[str, _Entry])
    helpers: dict[str, str] = Field(default_factory=dict[str, str], alias="credHelpers")
    store: str = Field(default="", alias="credsStore")


class Login(httpx.Auth):
    """Answers a registry's challenges, and keeps the answer for the requests that follow.

    Args:
        registry: its address, as in image names.
        repository: of the registry.
    """

    def __init__(self, registry: str, repository: str) -> None:
        self._host = registry.partition("/")[0]
        self._scope = f"repository:{repository}:pull,push"
        self._header = ""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Of httpx. Answers with content stay unread: layers of images go through."""
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return
        scheme, asked = challenge(response.headers.get("WWW-Authenticate", ""))
        known = credentials(self._host)
        if scheme == "basic" and known is not None:
            self._header = _basic(known)
        elif scheme == "bearer" and "realm" in asked:
            answer = yield self._token_request(asked, known)
            if not answer.is_success:
                return
            answer.read()
            found = cast("dict[str, Any]", answer.json())  # JSON of a token server
            self._header = f"Bearer {found.get('token') or found.get('access_token')}"
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _token_request(self, asked: dict[str, str], known: Credentials | None) -> httpx.Request:
        about = {"service": asked.get("service", ""), "scope": asked.get("scope") or self._scope}
        if known is not None and known.identity:
            form = {**about, "grant_type": "refresh_token", "refresh_token": known.identity}
            return httpx.Request("POST", asked["realm"], data=form)
        headers = {"Authorization": _basic(known)} if known is not None else {}
        return httpx.Request("GET", asked["realm"], params=about, headers=headers)


def challenge(header: str) -> tuple[str, dict[str, str]]:
    """Scheme, in lower case, and parameters of a `WWW-Authenticate` header (RFC 9110, 11.6.1) with one challenge."""
    scheme, _, rest = header.partition(" ")
    return scheme.lower(), {name.lower(): value for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}


def credentials(host: str) -> Credentials | None:
    """What is known for a registry; None where nobody has logged in.

    Raises:
        UserError: a file or a helper of credentials is no good.
    """
    names = (host, f"https://{host}", _OTHER_NAMES.get(host, host))
    for file in _files():
        if not file.is_file():
            continue
        try:
            known = _Config.model_validate_json(file.read_text(encoding="utf-8"))
            found = next(filter(None, (_of_entry(known.auths[name]) for name in names if name in known.auths)), None)
        except (ValidationError, ValueError) as error:
            what = str(error).splitlines()[0]
            raise UserError("Credentials of container registries cannot be read.", where=str(file), found=what) from None
        if helper := known.helpers.get(host, known.store):
            found = found or _of_helper(helper, host)
        if found:
            return found
    return None


def _files() -> list[Path]:
    """Where they may be, as buildah and docker look for them."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    docker = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    others = [Path(runtime) / "containers" / "auth.json", docker / "config.json"]
    return [Path(named), *others] if named else others


def _of_entry(entry: _Entry) -> Credentials | None:
    if not entry.auth:
        return None
    username, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    return Credentials(username=username, password=password.rstrip("\0"), identity=entry.identitytoken)


def _of_helper(helper: str, host: str) -> Credentials | None:
    """Asks `docker-credential-HELPER get`, which says so when it knows nothing."""
    command = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(command, input=host, capture_output=True, text=True, check=False, timeout=_HELPER_SECONDS)
        if done.returncode != 0:
            return None
        found = cast("dict[str, str]", json.loads(done.stdout))
        username, secret = found["Username"], found["Secret"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        raise UserError("A helper for credentials failed.", where=" ".join(command), found=error) from None
    if username in _PERSONS:
        return Credentials(username=username, identity=secret)
    return Credentials(username=username, password=secret)


def _basic(known: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{known.username}:{known.password}".encode()).decode()
