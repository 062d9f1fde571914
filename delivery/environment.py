"""The variables with which the engine and its users find what an environment keeps under `.modelstack/`."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import sys
from pathlib import Path

from local import paths


def variables() -> dict[str, str]:
    """Environment variables for `pulumi`, `kubectl` and programs of theirs, PATH included."""
    first = [str(paths.BIN), str(Path(sys.executable).parent)]
    rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in first]
    return {
        "PATH": os.pathsep.join([*first, *rest]),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        "PULUMI_BACKEND_URL": paths.BACKEND.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.PASSPHRASE),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "KUBECONFIG": str(paths.KUBECONFIG),
    }


def export_lines() -> str:
    """Lines for `eval "$(modelstack env)"`."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables().items()]
    # The engine prefers this variable to the file, whatever it holds.
    return "\n".join(["unset PULUMI_CONFIG_PASSPHRASE", *lines])


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def prepare() -> None:
    """Makes the backend's folder, the engine's home and, once, the passphrase."""
    paths.BACKEND.mkdir(parents=True, exist_ok=True)
    paths.PULUMI_HOME.mkdir(parents=True, exist_ok=True)
    _without_engine_logs(paths.PULUMI_HOME / "logs")
    if not paths.PASSPHRASE.is_file():
        write_private(paths.PASSPHRASE, secrets.token_urlsafe(32))


def stacks() -> list[str]:
    """The stacks in this checkout's backend."""
    return sorted(file.stem for file in (paths.BACKEND / ".pulumi" / "stacks" / "modelstack").glob("*.json"))


def has_stack(name: str) -> bool:
    """Whether the backend knows a stack."""
    return name in stacks()


def _without_engine_logs(folder: Path) -> None:
    """Keeps the engine from its log of all it does: a file where it wants the folder, for there is no switch (3.259).

    Every property of every resource is written to it, encrypted: three fifths of the engine's processor time, and up to 500 MB.
    Who wants to look inside has `pulumi --logtostderr -v=9`.
    """
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(FileExistsError, IsADirectoryError):  # an engine of another command may be at it
        folder.touch()
