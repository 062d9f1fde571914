"""Stand-in for the `docker` provider: `docker.Image`, and `get_registry_image`.

Images are built by buildah in the userland, without a daemon. What a build depends on (the Dockerfile, the files that its
ignore file lets in, arguments) is told by `build.contextDigest`, which `check` adds to the inputs: as long as it is the same,
there is no difference and nothing is built. A preview never builds.
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

from clients import image_digest
from local.images import Builder, Login
from local.images.confined import Cancelled
from local.images.context import Context
from local.plugins.protocol.messages import Check, Checked, Create, Created, Diff, Difference, Failed, Found, Kind, Read, Update
from local.plugins.protocol.provider import Provider
from local.plugins.protocol.serve import serve
from local.plugins.protocol.values import UNKNOWN, has_unknown, reveal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from local.plugins.protocol.values import Object, Value

IMAGE: Final = "docker:index/image:Image"
GET_REGISTRY_IMAGE: Final = "docker:index/getRegistryImage:getRegistryImage"
BUILT: Final = ("repoDigest",)
"""Outputs that only a build tells."""
NO_REBUILD: Final = ("registry.username", "registry.password", "buildOnPreview")
"""Inputs whose change makes no other image."""
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
        failures = _mistakes(plain)
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
        return Difference({path: kind for path, kind in paths.items() if not _covered(path, ignored)})

    def create(self, request: Create) -> Created:
        if request.preview:
            return Created("", _state(request.inputs, UNKNOWN))
        state = _state(request.inputs, self._make(request.inputs, request.urn))
        return Created(state["imageName"], state)

    def update(self, request: Update) -> Object:
        if request.preview:
            return _state(request.inputs, UNKNOWN)
        return _state(request.inputs, self._make(request.inputs, request.urn))

    def read(self, request: Read) -> Found | None:
        """The state; nothing where the registry answers that it has no such image any more."""
        if not request.state:
            raise Failed("images cannot be imported with this stand-in for the docker plugin")
        plain = reveal(request.state)
        try:
            login = _login(reveal(request.inputs))
            pushed = "@" in str(plain.get("repoDigest"))
            gone = pushed and image_digest.digest(plain["repoDigest"], login and login.account) is None
        except image_digest.UnreachableError:
            gone = False  # a registry that is down says nothing about what it holds
        return None if gone else super().read(request)

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        if token != GET_REGISTRY_IMAGE:
            return super().invoke(token, inputs, preview=preview)
        plain = reveal(inputs)
        auth = plain.get("authConfig")
        account = (auth["username"], auth["password"]) if auth else None
        try:
            found = image_digest.digest(plain["name"], account)
        except image_digest.UnreachableError as error:
            raise Failed(str(error)) from error
        if found is None:
            raise Failed(f"there is no image {plain['name']} in its registry")
        return {**inputs, "id": found, "sha256Digest": found}

    def _make(self, inputs: Object, urn: str) -> str:
        """Builds and pushes; returns `name@digest`, or the image's id where it is not pushed."""
        plain = reveal(inputs)
        build, tag = _build(plain), plain["imageName"]
        context = _context(build)
        shown = _Shown(lambda text: self.log(text, urn, status=True))
        target = str(build.get("target") or "")
        try:
            made = self._builder.build(context.folder, context.dockerfile, _arguments(build), tag, shown, target=target)
            if plain.get("skipPush"):
                return made
            digest = self._builder.push(tag, shown, login=_login(plain))
        except Cancelled as error:
            raise Failed(str(error)) from error
        return f"{_repository(tag)}@{digest}"


class _Shown:
    """Progress as status lines beside the resource."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._at = say, ""

    @contextmanager
    def step(self, name: str) -> Generator[_Shown]:
        self._at = ""
        self._say(name)
        yield self

    def advance(self, done: float, total: float | None = None) -> None:
        self._at = f"[{done + 1:.0f}/{total:.0f}] " if total else ""

    def note(self, text: str) -> None:
        self._say(f"{self._at}{text}")


def _mistakes(plain: Object) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not plain.get("imageName"):
        found.append(("imageName", "is required, for example localhost:5000/name:tag"))
    build = plain.get("build")
    if not build:
        found.append(("build", "is required: only images that are built here can be pushed"))
    elif build is not UNKNOWN:
        wanted = build.get("platform")
        if wanted and wanted is not UNKNOWN and wanted != PLATFORM:
            found.append(("build.platform", f"{wanted} cannot be built on this machine, only {PLATFORM}"))
        if build.get("addHosts"):
            found.append(("build.addHosts", "is not supported by this stand-in for the docker plugin"))
        if build.get("network") not in (None, "host", "default", UNKNOWN):
            found.append(("build.network", "only the host's network can be used by this stand-in for the docker plugin"))
    return found


def _object(value: Value) -> Object:
    """A nested object; empty where there is none, or where it is not known."""
    return cast("Object", value) if isinstance(value, dict) else {}


def _build(plain: Object) -> Object:
    """The build's inputs: an object, or the path of the context alone."""
    build = plain["build"]
    return {"context": build} if isinstance(build, str) else _object(build)


def _arguments(build: Object) -> dict[str, str]:
    return {name: str(value) for name, value in _object(build.get("args")).items()}


def _context(build: Object) -> Context:
    """Paths are relative to the program's folder, in which the engine starts this process."""
    folder = Path(build.get("context") or ".").absolute()
    dockerfile = build.get("dockerfile")
    return Context(Path(os.path.normpath(folder)), Path(dockerfile).absolute() if dockerfile else folder / "Dockerfile")


def _with_digest(inputs: Object, digest: Value) -> Object:
    build = inputs.get("build")
    return {**inputs, "build": {**cast("Object", build), "contextDigest": digest}} if isinstance(build, dict) else inputs


def _state(inputs: Object, made: Value) -> Object:
    plain = reveal(inputs)
    build = _object(plain.get("build"))
    return {
        **inputs,
        "baseImageName": plain["imageName"],
        "registryServer": _object(plain.get("registry")).get("server") or _server(plain["imageName"]),
        "context": build.get("context") or ".",
        "dockerfile": build.get("dockerfile") or "Dockerfile",
        "platform": build.get("platform") or PLATFORM,
        "repoDigest": made,
    }


def _login(plain: Object) -> Login | None:
    found = _object(plain.get("registry"))
    if not found.get("username"):
        return None
    server = str(found.get("server") or _server(plain["imageName"])).removeprefix("https://").removeprefix("http://")
    return Login(server.rstrip("/"), found["username"], found.get("password") or "")


def _server(name: Value) -> Value:
    return name.split("/")[0] if isinstance(name, str) else name


def _repository(tag: str) -> str:
    """A name without its tag."""
    path, _, last = tag.rpartition("/")
    return f"{path}/{last.split('@')[0].split(':')[0]}"


def _differences(old: Object, new: Object, above: str = "") -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        path = f"{above}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            found |= _differences(cast("Object", before), cast("Object", after), f"{path}.")
        else:
            found[path] = Kind.ADD if key not in old else Kind.DELETE if key not in new else Kind.UPDATE
    return found


def _covered(path: str, by: tuple[str, ...]) -> bool:
    return any(path == other or path.startswith((f"{other}.", f"{other}[")) for other in by)


if __name__ == "__main__":
    serve(DockerProvider())
