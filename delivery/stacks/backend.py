"""The Pulumi backend, which stores the state of each stack: its local folders and its list of stacks."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from typing import TYPE_CHECKING

from common import paths
from common.errors import UserError
from common.files import write_private
from common.naming import PROJECT
from delivery.stacks import process
from delivery.stacks.variables import BACKEND_URL, backend_url, shown_backend

if TYPE_CHECKING:
    from pathlib import Path


def prepare() -> None:
    """Creates the backend's folder, the engine's home and, if there is none yet, the passphrase file."""
    paths.BACKEND.mkdir(parents=True, exist_ok=True)
    paths.PULUMI_HOME.mkdir(parents=True, exist_ok=True)
    _without_engine_logs(paths.PULUMI_HOME / "logs")
    if not paths.PASSPHRASE.is_file():
        write_private(paths.PASSPHRASE, secrets.token_urlsafe(32))


def stacks() -> list[str]:
    """Returns the names of the stacks in the backend, sorted.

    Raises:
        UserError: the backend cannot be reached, or the engine is not installed.
    """
    if backend_url() == paths.BACKEND.as_uri():  # listing the folder is faster than starting the engine
        return sorted(file.stem for file in (paths.BACKEND / ".pulumi" / "stacks" / PROJECT).glob("*.json"))
    engine = paths.BIN / "pulumi"
    if not engine.exists():
        raise UserError("This checkout has no engine yet.", fix="run `modelstack tools`")
    result = process.run(str(engine), ["stack", "ls", "--project", PROJECT, "--json"])
    if result.code != 0:
        fix = f"check {BACKEND_URL}, and that the credentials for the backend are set"
        raise UserError("The backend cannot be reached.", where=shown_backend(), found=result.stderr.strip(), fix=fix)
    return sorted(str(stack["name"]).rpartition("/")[2] for stack in json.loads(result.stdout))


def has_stack(name: str) -> bool:
    """Returns whether the backend has a stack of that name."""
    return name in stacks()


def _without_engine_logs(folder: Path) -> None:
    """Disables the engine's own log by putting a file where the engine would create its log folder.

    Version 3.259 has no switch for this log. The engine writes every property of every resource to it, encrypted, which takes
    three fifths of its processor time and up to 500 MB. `pulumi --logtostderr -v=9` still shows what the engine does.
    """
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(FileExistsError, IsADirectoryError):  # another command's engine may use it
        folder.touch()
