"""Builds and pushes images. Every command runs in namespaces of its own, so that nothing is left mounted or running."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common import paths
from common.errors import UserError
from local import userland
from local.images.confined import Command, full_disk
from local.images.context import Context

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Sequence

    from common.progress import Progress, Step

STORAGE_LIMIT: Final = 30 * 1024**3
"""Bytes of layers kept between builds; above it, what no tag needs goes."""
DAY_SECONDS: Final = 24 * 3600
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

    @property
    def account(self) -> tuple[str, str]:
        """Username and password."""
        return self.username, self.password

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
        userland.ensure(progress)
        self.prune(progress)
        with progress.step(f"image {_short(tag)}") as step, self._building(tag, *args.values()) as work:
            source.stage(work / "context")
            (work / "Dockerfile").write_text(with_arguments(dockerfile.read_text(), args))
            (work / "ignore").touch()
            options = [
                *("--isolation", "chroot", "--layers", "--format", "oci", "--pull-always", "--network", "host"),
                *("--file", f"{_WORK}/Dockerfile", "--ignorefile", f"{_WORK}/ignore", "--iidfile", f"{_WORK}/id", "--tag", tag),
                *(("--target", target) if target else ()),
                *(("--volume", f"{_CA}:{_CA}:ro") if userland.CA_BUNDLE.exists() else ()),
                *(option for name, value in args.items() for option in ("--build-arg", f"{name}={value}")),
            ]
            command = self._buildah(work, tag, progress, ["build", *options, f"{_WORK}/context"])
            try:
                command.run(_Steps(step), self._cancelled)
            except BaseException:
                (self._root / "failed").touch()  # on a full disk not even the unfinished container could be removed
                raise
            return (work / "id").read_text().strip()

    def push(self, tag: str, progress: Progress, *, login: Login | None = None) -> str:
        """Pushes a built image and returns the digest the registry knows it by (`sha256:...`).

        Raises:
            UserError: the registry cannot be reached or refuses.
        """
        with progress.step(f"push {_short(tag)}"), self._building(tag) as work:
            options = ["--compression-format", "zstd", "--format", "oci", "--digestfile", f"{_WORK}/digest"]
            if login:
                encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
                (work / "auth.json").touch(0o600)
                (work / "auth.json").write_text(json.dumps({"auths": {login.server: {"auth": encoded}}}))
                options += ["--authfile", f"{_WORK}/auth.json"]
            command = self._buildah(work, f"{tag}-push", progress, ["push", *options, tag, f"docker://{tag}"])
            command.run(lambda _line: None, self._cancelled)
            return (work / "digest").read_text().strip()

    def remove(self, tags: Sequence[str], progress: Progress) -> None:
        """Forgets images that were built under these names; those that are not there are gone already."""
        with self._building("remove") as work:
            for tag in tags:
                with suppress(UserError):
                    self._buildah(work, "remove", progress, ["rmi", tag]).run(lambda _line: None, self._cancelled)

    def prune(self, progress: Progress, *, limit: int = STORAGE_LIMIT) -> None:
        """Removes what failed and killed builds left and, once a day, layers no tag needs if there are more than `limit` bytes.

        Does nothing while others build.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError:
                return
            abandoned = list((self._root / "work").glob("*"))
            for folder in abandoned:
                shutil.rmtree(folder, ignore_errors=True)
            failed = self._root / "failed"
            commands = [["rm", "--all"]] if abandoned or failed.exists() else []
            failed.unlink(missing_ok=True)
            if self._due() and _size(self._root / "storage") > limit:
                commands.append(["rmi", "--prune", "--force"])
            if commands:
                work = stack.enter_context(self._working("prune"))
                for command in commands:
                    with suppress(UserError):  # what stays in the way will be told by the build
                        self._buildah(work, "prune", progress, command).run(lambda _line: None, self._cancelled)

    def _due(self) -> bool:
        """Whether a day has gone by since this was asked last: measuring takes seconds."""
        marker = self._root / "measured"
        new = not marker.exists()
        due = not new and time.time() - marker.stat().st_mtime > DAY_SECONDS
        if new or due:
            marker.touch()
        return due

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
    def _building(self, *references: str) -> Generator[Path]:
        """A working folder, and the shared lock of those who build."""
        with self._lock(fcntl.LOCK_SH), self._working(*references) as work:
            yield work

    @contextmanager
    def _working(self, *references: str) -> Generator[Path]:
        """A folder for one command's files, gone afterwards."""
        for name in ("storage", "work", "blobs"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=self._root / "work"))
        try:
            (work / "large").mkdir()
            (work / "policy.json").write_text(json.dumps(_POLICY))
            (work / "registries.conf").write_text(_registries(references))
            yield work
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise full_disk(self._root, "being built") from error
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @contextmanager
    def _lock(self, kind: int) -> Generator[None]:
        """Shared for those who build, exclusive for who removes what nobody builds with."""
        self._root.mkdir(parents=True, exist_ok=True)
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


def with_arguments(dockerfile: str, args: dict[str, str]) -> str:
    """A Dockerfile that says after each `ARG` of a stage, in a label, which value it has.

    buildah takes a layer of an earlier build if the instructions up to it read the same, and `ARG X`, `LABEL x=${X}` read the
    same whatever X is.
    """
    lines: list[str] = []
    staged = False
    for line in dockerfile.splitlines():
        lines.append(line)
        staged = staged or re.match(r"\s*FROM\s", line, re.IGNORECASE) is not None
        found = re.match(r"\s*ARG\s+(\w+)(=|\s*$)", line, re.IGNORECASE)
        if staged and found and found[1] in args:
            digest = hashlib.sha256(args[found[1]].encode()).hexdigest()[:16]
            lines.append(f"LABEL modelstack.argument.{found[1]}={digest}")
    return "\n".join([*lines, ""])


def _registries(references: Sequence[str]) -> str:
    """Registries on this machine speak plain HTTP; all others are held to TLS."""
    local = {found[0].rstrip("/") for found in map(_LOCALHOST.match, references) if found}
    entries = [f'[[registry]]\nlocation = "{server}"\ninsecure = true\n' for server in sorted(local)]
    return "\n".join(['unqualified-search-registries = ["docker.io"]\n', *entries])


def _short(tag: str) -> str:
    return tag.rsplit("/", 1)[-1].split("@", maxsplit=1)[0].split(":", maxsplit=1)[0]


def _size(folder: Path) -> int:
    """Bytes on disk."""
    told = subprocess.run(["du", "--summarize", "--block-size=1", folder], capture_output=True, text=True, check=False)
    return int(told.stdout.split()[0]) if told.stdout else 0
