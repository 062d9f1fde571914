"""The backend that keeps the states of the stacks: what it needs on this machine, and which stacks it has."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from typing import TYPE_CHECKING

from common import paths
from common.errors import UserError
from common.files import write_private
from common.naming import PROJECT
from delivery.stacks.variables import BACKEND_URL, backend_url, variables, without_strangers

if TYPE_CHECKING:
    from pathlib import Path


def prepare() -> None:
    """Makes the backend's folder, the engine's home and, once, the passphrase."""
    paths.BACKEND.mkdir(parents=True, exist_ok=True)
    paths.PULUMI_HOME.mkdir(parents=True, exist_ok=True)
    _without_engine_logs(paths.PULUMI_HOME / "logs")
    if not paths.PASSPHRASE.is_file():
        write_private(paths.PASSPHRASE, secrets.token_urlsafe(32))


def stacks() -> list[str]:
    """The stacks in the backend.

    Raises:
        UserError: it cannot be reached.
    """
    if backend_url() == paths.BACKEND.as_uri():  # a look into the folder spares everybody a start of the engine
        return sorted(file.stem for file in (paths.BACKEND / ".pulumi" / "stacks" / PROJECT).glob("*.json"))
    command = [str(paths.BIN / "pulumi"), "stack", "ls", "--project", PROJECT, "--json", "--non-interactive"]
    surroundings = without_strangers({**os.environ, **variables()})
    try:
        done = subprocess.run(command, env=surroundings, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise UserError("This checkout has no engine yet.", fix="run `modelstack tools`") from None
    except subprocess.CalledProcessError as error:
        fix = f"see that {BACKEND_URL} is right, and that what opens it is set"
        raise UserError("The backend cannot be reached.", where=backend_url(), found=error.stderr.strip(), fix=fix) from None
    return sorted(str(stack["name"]).rpartition("/")[2] for stack in json.loads(done.stdout))


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
