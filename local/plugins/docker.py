"""Stand-in for the `docker` provider: `docker.Image`, and `get_registry_image`.

Images are built by buildah in the userland, without a daemon. `check` adds `build.contextDigest` to the inputs: a digest of
everything that the build depends on (the Dockerfile, the files that its ignore file includes, arguments). While the digest
stays the same, there is no difference and nothing is built. A preview never builds.
"""

from __future__ import annotations

import os
import platform
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from local.plugins import bare

if __name__ == "__main__":
    bare.without_sdk()

from clients import container_registry
from clients.container_registry import Account
from common.answers import Absent, Found, Unknown
from local.images import Builder, Login
from local.images.confined import Cancelled
from local.images.context import Context
from local.plugins.protocol.messages import (
    Check,
    Checked,
    Create,
    Created,
    Diff,
    Difference,
    Failed,
    Kind,
    Read,
    ReadResult,
    Update,
)
from local.plugins.protocol.provider import Provider
from local.plugins.protocol.serve import serve
from local.plugins.protocol.values import UNKNOWN, has_unknown, reveal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from local.plugins.protocol.values import Object, Value

IMAGE: Final = "docker:index/image:Image"
GET_REGISTRY_IMAGE: Final = "docker:index/getRegistryImage:getRegistryImage"
NO_REBUILD: Final = ("registry.username", "registry.password", "buildOnPreview")
"""Inputs that do not affect the image."""
PLATFORM: Final = f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }"


class DockerProvider(Provider):
    """Builds images and pushes them."""

    name, version = "docker", "5.2.0"

    def __init__(self, builder: Builder | None = None) -> None:
        super().__init__()
        self._builder = builder or Builder(cancelled=self.cancelled)

    def check(self, request: Check) -> Checked:
        if request.type != IMAGE:
            return Checked(request.inputs, [("", f"{request.type} is not supported by this stand-in for the docker plugin")])
        plain = reveal(request.inputs)
        failures = _check_failures(plain)
        if failures or has_unknown(plain.get("build")):
            return Checked(_with_digest(request.inputs, UNKNOWN), failures)
        build = _build(plain)
        context = _context(build)
        context.check()
        arguments = [f"{name}={value}" for name, value in sorted(_arguments(build).items())]
        return Checked(_with_digest(request.inputs, context.digest(*arguments, str(build.get("target") or ""))))

    def diff(self, request: Diff) -> Difference:
        paths = _differences(request.old_inputs, request.inputs)
        ignored = (*NO_REBUILD, *request.ignore)
        return Difference({path: kind for path, kind in paths.items() if not _is_ignored(path, ignored)})

    def create(self, request: Create) -> Created:
        if request.preview:
            return Created("", _state(request.inputs, UNKNOWN))
        state = _state(request.inputs, self._build_and_push(request.inputs, request.urn))
        return Created(state["imageName"], state)

    def update(self, request: Update) -> Object:
        if request.preview:
            return _state(request.inputs, UNKNOWN)
        return _state(request.inputs, self._build_and_push(request.inputs, request.urn))

    def read(self, request: Read) -> ReadResult | None:
        """Returns the state, or None if the container registry answers that it no longer has the image."""
        if not request.state:
            raise Failed("images cannot be imported with this stand-in for the docker plugin")
        plain = reveal(request.state)
        login = _login(reveal(request.inputs))
        if "@" not in str(plain.get("repoDigest")):
            return super().read(request)  # the image is not pushed
        account = login and Account(login.username, login.password)
        # A container registry that is down does not show whether it has the image.
        gone = isinstance(container_registry.digest(plain["repoDigest"], account), Absent)
        return None if gone else super().read(request)

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        if token != GET_REGISTRY_IMAGE:
            return super().invoke(token, inputs, preview=preview)
        plain = reveal(inputs)
        auth = plain.get("authConfig")
        account = Account(auth["username"], auth["password"]) if auth else None
        match container_registry.digest(plain["name"], account):
            case Found(value=digest):
                return {**inputs, "id": digest, "sha256Digest": digest}
            case Absent():
                raise Failed(f"the container registry has no image {plain['name']}")
            case Unknown(where=where, reason=reason):
                raise Failed(f"{where}: {reason}")

    def _build_and_push(self, inputs: Object, urn: str) -> str:
        """Builds and pushes the image. Returns `name@digest`, or the id of the image if it is not pushed."""
        plain = reveal(inputs)
        build, tag = _build(plain), plain["imageName"]
        context = _context(build)
        progress = _StatusProgress(lambda text: self.log(text, urn, status=True))
        target = str(build.get("target") or "")
        try:
            image_id = self._builder.build(context.folder, context.dockerfile, _arguments(build), tag, progress, target=target)
            if plain.get("skipPush"):
                return image_id
            digest = self._builder.push(tag, progress, login=_login(plain))
        except Cancelled as error:
            raise Failed(str(error)) from error
        return f"{_repository(tag)}@{digest}"


class _StatusProgress:
    """Shows progress as status lines beside the resource."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._count = show, ""

    @contextmanager
    def step(self, name: str) -> Generator[_StatusProgress]:
        self._count = ""
        self._show(name)
        yield self

    def advance(self, done: float, total: float | None = None) -> None:
        self._count = f"[{done + 1:.0f}/{total:.0f}] " if total else ""

    def note(self, text: str) -> None:
        self._show(f"{self._count}{text}")


def _check_failures(plain: Object) -> list[tuple[str, str]]:
    """Returns property and reason for each input that cannot work."""
    failures: list[tuple[str, str]] = []
    if not plain.get("imageName"):
        failures.append(("imageName", "is required, for example localhost:5000/name:tag"))
    build = plain.get("build")
    if not build:
        failures.append(("build", "is required: this stand-in for the docker plugin only pushes images that it builds"))
    elif build is not UNKNOWN:
        target = build.get("platform")
        if target and target is not UNKNOWN and target != PLATFORM:
            failures.append(("build.platform", f"{target} cannot be built on this machine, only {PLATFORM}"))
        if build.get("addHosts"):
            failures.append(("build.addHosts", "is not supported by this stand-in for the docker plugin"))
        if build.get("network") not in (None, "host", "default", UNKNOWN):
            failures.append(("build.network", "this stand-in for the docker plugin can only use the host's network"))
    return failures


def _object(value: Value) -> Object:
    """Returns a nested object, or an empty one if there is none or it is unknown."""
    return cast("Object", value) if isinstance(value, dict) else {}


def _build(plain: Object) -> Object:
    """Returns the inputs of the build. A program gives them as an object, or gives only the path of the context."""
    build = plain["build"]
    return {"context": build} if isinstance(build, str) else _object(build)


def _arguments(build: Object) -> dict[str, str]:
    return {name: str(value) for name, value in _object(build.get("args")).items()}


def _context(build: Object) -> Context:
    """Returns the build context. Paths are relative to the program's folder, where the engine starts this process."""
    folder = Path(build.get("context") or ".").absolute()
    dockerfile = build.get("dockerfile")
    return Context(Path(os.path.normpath(folder)), Path(dockerfile).absolute() if dockerfile else folder / "Dockerfile")


def _with_digest(inputs: Object, digest: Value) -> Object:
    build = inputs.get("build")
    return {**inputs, "build": {**cast("Object", build), "contextDigest": digest}} if isinstance(build, dict) else inputs


def _state(inputs: Object, repo_digest: Value) -> Object:
    plain = reveal(inputs)
    build = _object(plain.get("build"))
    return {
        **inputs,
        "baseImageName": plain["imageName"],
        "registryServer": _object(plain.get("registry")).get("server") or _server(plain["imageName"]),
        "context": build.get("context") or ".",
        "dockerfile": build.get("dockerfile") or "Dockerfile",
        "platform": build.get("platform") or PLATFORM,
        "repoDigest": repo_digest,
    }


def _login(plain: Object) -> Login | None:
    registry = _object(plain.get("registry"))
    if not registry.get("username"):
        return None
    server = str(registry.get("server") or _server(plain["imageName"])).removeprefix("https://").removeprefix("http://")
    return Login(server.rstrip("/"), registry["username"], registry.get("password") or "")


def _server(name: Value) -> Value:
    return name.split("/")[0] if isinstance(name, str) else name


def _repository(tag: str) -> str:
    """Returns an image's name without tag and digest."""
    path, _, last = tag.rpartition("/")
    return f"{path}/{last.split('@')[0].split(':')[0]}"


def _differences(old: Object, new: Object, prefix: str = "") -> dict[str, Kind]:
    paths: dict[str, Kind] = {}
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        path = f"{prefix}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            paths |= _differences(cast("Object", before), cast("Object", after), f"{path}.")
        else:
            paths[path] = Kind.ADD if key not in old else Kind.DELETE if key not in new else Kind.UPDATE
    return paths


def _is_ignored(path: str, ignored: tuple[str, ...]) -> bool:
    return any(path == other or path.startswith((f"{other}.", f"{other}[")) for other in ignored)


if __name__ == "__main__":
    serve(DockerProvider())
