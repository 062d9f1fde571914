"""Builds and pushes images. Each command runs in its own namespaces, so that it leaves no mounts and no processes."""

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
from local.images.confined import Command, disk_full_error
from local.images.context import Context

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Sequence

    from common.progress import Progress, Step

STORAGE_LIMIT: Final = 30 * 1024**3
"""Bytes of layers that are retained between builds. Above this limit, layers that no tag uses are removed."""
DAY_SECONDS: Final = 24 * 3600
_STEP: Final = re.compile(r"^(?:\[(\d+)/(\d+)\] )?STEP (\d+)/(\d+): (.*)")
_POLICY: Final = {"default": [{"type": "insecureAcceptAnything"}]}
_LOCALHOST: Final = re.compile(r"^(localhost|127\.0\.0\.1)(:\d+)?/")
_CA: Final = str(userland.CA_BUNDLE)
_WORK, _STORAGE = "/modelstack/work", "/modelstack/storage"


@dataclass(frozen=True)
class Login:
    """Credentials for a container registry."""

    server: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.server!r}, {self.username!r}, ...)"


class Builder:
    """Builds and pushes images, and stores them below one root folder: layers in `storage`, the output of commands in `logs`.

    Several builds can run at the same time, also in several processes.

    Args:
        root: the root folder.
        cancelled: an event that ends the running command when it is set.
    """

    def __init__(self, root: Path = paths.IMAGES, *, cancelled: threading.Event | None = None) -> None:
        self._root, self._cancelled = root, cancelled

    def build(  # noqa: PLR0913 - a build has this many inputs
        self,
        context: Path,
        dockerfile: Path,
        args: dict[str, str],
        tag: str,
        progress: Progress,
        *,
        target: str = "",
    ) -> str:
        """Builds an image and returns its id. Reuses the layers of earlier builds whose inputs are the same.

        Args:
            context: the folder whose files the Dockerfile may copy, unless `.dockerignore` excludes them.
            dockerfile: the path of the Dockerfile.
            args: the build arguments.
            tag: the name of the image, including the container registry that it will be pushed to.
            progress: shows the steps of the Dockerfile.
            target: the build stage to build. Defaults to the last stage.

        Raises:
            UserError: the build failed, or the disk is full. For a failed build, the error names the failed step and the file
                with the output, and shows the end of the output.
        """
        source = Context(context, dockerfile)
        source.check()
        userland.ensure(progress)
        self.prune(progress)
        with progress.step(f"image {_short(tag)}") as step, self._build_folder(tag, *args.values()) as work:
            source.copy_to(work / "context")
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
                (self._root / "failed").touch()  # `prune` removes the unfinished container: buildah cannot if the disk is full
                raise
            return (work / "id").read_text().strip()

    def push(self, tag: str, progress: Progress, *, login: Login | None = None) -> str:
        """Pushes a built image and returns its digest in the container registry (`sha256:...`).

        Args:
            tag: the name of the image, including the container registry.
            progress: shows the push.
            login: the credentials for the container registry, if it requires them.

        Raises:
            UserError: the container registry cannot be reached, or refuses the image.
        """
        with progress.step(f"push {_short(tag)}"), self._build_folder(tag) as work:
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
        """Removes the images with these names from the storage. Ignores names that do not exist."""
        with self._build_folder("remove") as work:
            for tag in tags:
                with suppress(UserError):
                    self._buildah(work, "remove", progress, ["rmi", tag]).run(lambda _line: None, self._cancelled)

    def prune(self, progress: Progress, *, limit: int = STORAGE_LIMIT) -> None:
        """Removes the remains of failed and killed builds.

        Once a day, also removes the layers that no tag uses, if all layers together have more than `limit` bytes. Does nothing
        while another build runs.
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
            if self._measurement_is_due() and _size(self._root / "storage") > limit:
                commands.append(["rmi", "--prune", "--force"])
            if commands:
                work = stack.enter_context(self._work_folder("prune"))
                for command in commands:
                    with suppress(UserError):  # if the remains affect the next build, that build reports it
                        self._buildah(work, "prune", progress, command).run(lambda _line: None, self._cancelled)

    def _measurement_is_due(self) -> bool:
        """Returns whether the storage has to be measured: only once a day, because measuring takes seconds."""
        marker = self._root / "measured"
        new = not marker.exists()
        due = not new and time.time() - marker.stat().st_mtime > DAY_SECONDS
        if new or due:
            marker.touch()
        return due

    def _buildah(self, work: Path, name: str, progress: Progress, arguments: Sequence[str]) -> Command:
        root = userland.ensure(progress)
        # buildah stores in this cache which layers a container registry already has, under any name, and does not compress and
        # upload them again.
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
    def _build_folder(self, *references: str) -> Generator[Path]:
        """Creates a folder for the files of one command, and holds the shared lock of builds."""
        with self._lock(fcntl.LOCK_SH), self._work_folder(*references) as work:
            yield work

    @contextmanager
    def _work_folder(self, *references: str) -> Generator[Path]:
        """Creates a folder for the files of one command, and removes it afterwards."""
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
                raise disk_full_error(self._root, "being built") from error
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @contextmanager
    def _lock(self, kind: int) -> Generator[None]:
        """Holds the lock of the root folder: shared for builds, exclusive for `prune`."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, kind)
            yield


class _Steps:
    """Shows the steps of the Dockerfile as progress, from the lines of buildah's output."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, line: str) -> None:
        found = _STEP.match(line)
        if found:
            self._step.advance(int(found[3]) - 1, int(found[4]))
            self._step.note(found[5][:60])


def with_arguments(dockerfile: str, args: dict[str, str]) -> str:
    """Returns the Dockerfile with an additional label after each `ARG` of a build stage: a hash of the argument's value.

    buildah reuses a layer of an earlier build if the text of all instructions up to that layer is the same. The text of `ARG X`
    and `LABEL x=${X}` does not contain the value of X, so without the label, buildah would reuse layers with another value.
    """
    lines: list[str] = []
    in_stage = False
    for line in dockerfile.splitlines():
        lines.append(line)
        in_stage = in_stage or re.match(r"\s*FROM\s", line, re.IGNORECASE) is not None
        found = re.match(r"\s*ARG\s+(\w+)(=|\s*$)", line, re.IGNORECASE)
        if in_stage and found and found[1] in args:
            digest = hashlib.sha256(args[found[1]].encode()).hexdigest()[:16]
            lines.append(f"LABEL modelstack.argument.{found[1]}={digest}")
    return "\n".join([*lines, ""])


def _registries(references: Sequence[str]) -> str:
    """Returns the registries.conf: container registries on this machine use plain HTTP, all others have to use TLS."""
    local = {found[0].rstrip("/") for found in map(_LOCALHOST.match, references) if found}
    entries = [f'[[registry]]\nlocation = "{server}"\ninsecure = true\n' for server in sorted(local)]
    return "\n".join(['unqualified-search-registries = ["docker.io"]\n', *entries])


def _short(tag: str) -> str:
    return tag.rsplit("/", 1)[-1].split("@", maxsplit=1)[0].split(":", maxsplit=1)[0]


def _size(folder: Path) -> int:
    """Returns the size of a folder on disk, in bytes."""
    result = subprocess.run(["du", "--summarize", "--block-size=1", folder], capture_output=True, text=True, check=False)
    return int(result.stdout.split()[0]) if result.stdout else 0
