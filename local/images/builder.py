"""Builds and pushes images. Every command runs in namespaces of its own, so that nothing is left mounted or running."""

from __future__ import annotations

import base64
import fcntl
import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.errors import UserError
from local import paths, userland
from local.images.confined import Command
from local.images.context import Context

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Sequence

    from local.progress import Progress, Step

STORAGE_LIMIT: Final = 30 * 1024**3
"""Bytes of layers kept between builds; above it, what no tag needs goes."""
_STEP: Final = re.compile(r"^(?:\[(\d+)/(\d+)\] )?STEP (\d+)/(\d+): (.*)")
_POLICY: Final = {"default": [{"type": "insecureAcceptAnything"}]}
_LOCALHOST: Final = re.compile(r"^(localhost|127\.0\.0\.1)(:\d+)?/")
_CA: Final = str(userland.CA_BUNDLE)
_WORK, _STORAGE = "/modelstack/work", "/modelstack/storage"


@dataclass(frozen=True)
class Login:
    """Credentials of a registry."""

    server: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.server!r}, {self.username!r}, ...)"


class Builder:
    """Images under one root folder: layers in `storage`, the last output of each build in `logs`.

    Builds may run at the same time, from several processes as well.

    Args:
        root: the folder.
        cancelled: ends the command under way when it is set.
    """

    def __init__(self, root: Path = paths.IMAGES, *, cancelled: threading.Event | None = None) -> None:
        self._root, self._cancelled = root, cancelled

    def build(  # noqa: PLR0913 - a build has as many inputs
        self,
        context: Path,
        dockerfile: Path,
        args: dict[str, str],
        tag: str,
        progress: Progress,
        *,
        target: str = "",
    ) -> str:
        """Builds an image, with the layers of earlier builds where their inputs are the same, and returns its id.

        Args:
            context: folder whose files the Dockerfile may copy, as far as its `.dockerignore` lets them in.
            dockerfile: its path.
            args: build arguments.
            tag: name of the image, with the server it will be pushed to.
            progress: is told of the Dockerfile's steps.
            target: the stage to build; the last one by default.

        Raises:
            UserError: the build failed (which step, the end of its output, where the rest is), or the disk is full.
        """
        source = Context(context, dockerfile)
        source.check()
        with progress.step(f"image {_short(tag)}") as step, self._working(tag, progress, *args.values()) as work:
            source.stage(work / "context")
            shutil.copyfile(dockerfile, work / "Dockerfile")
            (work / "ignore").touch()
            options = [
                *("--isolation", "chroot", "--layers", "--format", "oci", "--pull-always", "--network", "host"),
                *("--file", f"{_WORK}/Dockerfile", "--ignorefile", f"{_WORK}/ignore", "--iidfile", f"{_WORK}/id", "--tag", tag),
                *(("--target", target) if target else ()),
                *(("--volume", f"{_CA}:{_CA}:ro") if userland.CA_BUNDLE.exists() else ()),
                *(option for name, value in args.items() for option in ("--build-arg", f"{name}={value}")),
            ]
            command = self._buildah(work, tag, progress, ["build", *options, f"{_WORK}/context"])
            command.run(_Steps(step), self._cancelled)
            return (work / "id").read_text().strip()

    def push(self, tag: str, progress: Progress, *, login: Login | None = None) -> str:
        """Pushes a built image and returns the digest the registry knows it by (`sha256:...`).

        Raises:
            UserError: the registry cannot be reached or refuses.
        """
        with progress.step(f"push {_short(tag)}"), self._working(tag, progress) as work:
            options = ["--compression-format", "zstd", "--format", "oci", "--digestfile", f"{_WORK}/digest"]
            if login:
                encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
                (work / "auth.json").touch(0o600)
                (work / "auth.json").write_text(json.dumps({"auths": {login.server: {"auth": encoded}}}))
                options += ["--authfile", f"{_WORK}/auth.json"]
            command = self._buildah(work, f"{tag}-push", progress, ["push", *options, tag, f"docker://{tag}"])
            command.run(lambda _line: None, self._cancelled)
            return (work / "digest").read_text().strip()

    def prune(self, progress: Progress, *, limit: int = STORAGE_LIMIT) -> None:
        """Removes what killed builds left behind and, above `limit` bytes, the layers that no tag needs."""
        if not (self._root / "storage").exists():
            return
        with self._lock(fcntl.LOCK_EX), self._working("prune", progress, locked=True) as work:
            for abandoned in (self._root / "work").iterdir():
                if abandoned != work:
                    shutil.rmtree(abandoned, ignore_errors=True)
            self._buildah(work, "prune", progress, ["rm", "--all"]).run(lambda _line: None, None)
            if _size(self._root / "storage") > limit:
                self._buildah(work, "prune", progress, ["rmi", "--prune", "--force"]).run(lambda _line: None, None)

    def _buildah(self, work: Path, name: str, progress: Progress, arguments: Sequence[str]) -> Command:
        root = userland.ensure(progress)
        # The cache of known blobs spares compressing and sending layers that the registry has, under whatever name.
        binds = [(work, _WORK), (self._root / "storage", _STORAGE), (self._root / "blobs", "/var/lib/containers/cache")]
        environment = {
            "TMPDIR": f"{_WORK}/large",
            "CONTAINERS_REGISTRIES_CONF": f"{_WORK}/registries.conf",
            "BUILDAH_ISOLATION": "chroot",
            "STORAGE_DRIVER": "overlay",
        }
        argv = [
            *("/usr/bin/env", *(f"{key}={value}" for key, value in environment.items())),
            *("buildah", "--root", _STORAGE, "--runroot", f"{_WORK}/run", "--log-level", "error"),
            arguments[0],
            *(("--signature-policy", f"{_WORK}/policy.json") if arguments[0] in ("build", "push") else ()),
            *arguments[1:],
        ]
        logs = self._root / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return Command(userland.argv(root, argv, binds), _short(name), logs / f"{re.sub('[^a-zA-Z0-9.-]', '_', name)}.log")

    @contextmanager
    def _working(self, tag: str, progress: Progress, *references: str, locked: bool = False) -> Generator[Path]:
        """A folder for one command's files, gone afterwards."""
        userland.ensure(progress)
        (self._root / "storage").mkdir(parents=True, exist_ok=True)
        for name in ("work", "blobs"):
            (self._root / name).mkdir(exist_ok=True)
        with self._lock(fcntl.LOCK_SH, skip=locked):
            work = Path(tempfile.mkdtemp(dir=self._root / "work"))
            try:
                (work / "large").mkdir()
                (work / "policy.json").write_text(json.dumps(_POLICY))
                (work / "registries.conf").write_text(_registries((tag, *references)))
                yield work
            except OSError as error:
                if error.errno == 28:  # noqa: PLR2004 - ENOSPC
                    raise full_disk(self._root) from error
                raise
            finally:
                shutil.rmtree(work, ignore_errors=True)

    @contextmanager
    def _lock(self, kind: int, *, skip: bool = False) -> Generator[None]:
        """Shared for those who build, exclusive for who removes what nobody builds with."""
        if skip:
            yield
            return
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, kind)
            yield


class _Steps:
    """Reads buildah's output for the steps of the Dockerfile."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, line: str) -> None:
        found = _STEP.match(line)
        if found:
            self._step.advance(int(found[3]) - 1, int(found[4]))
            self._step.note(found[5][:60])


def full_disk(root: Path) -> UserError:
    """The error for a disk that has no room for the images."""
    free = shutil.disk_usage(root).free // 1024**2
    return UserError(
        "The disk is full: there is no room for the image being built.",
        where=str(root),
        found=f"{free} MiB free",
        fix="make room, then run again; finished layers are kept",
    )


def _registries(references: Sequence[str]) -> str:
    """Registries on this machine speak plain HTTP; all others are held to TLS."""
    local = {found[0].rstrip("/") for found in map(_LOCALHOST.match, references) if found}
    entries = [f'[[registry]]\nlocation = "{server}"\ninsecure = true\n' for server in sorted(local)]
    return "\n".join(['unqualified-search-registries = ["docker.io"]\n', *entries])


def _short(tag: str) -> str:
    return tag.rsplit("/", 1)[-1].split("@", maxsplit=1)[0].split(":", maxsplit=1)[0]


def _size(folder: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))
