"""The variables with which the engine and its users find what an environment keeps under `.modelstack/`.

States are kept there as well, unless the engine's own variable names another backend: a team's stage and prod are in one that
all of it reaches. Its secrets are then what the engine's own variables say, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from common import paths
from common.errors import UserError

_URL, _PASSPHRASE, _PASSPHRASE_FILE = "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"


def variables() -> dict[str, str]:
    """Environment variables for `pulumi`, `kubectl` and programs of theirs, PATH included."""
    given = {} if backend() == paths.BACKEND.as_uri() else {_URL: backend(), **_secrets()}
    first = [str(paths.BIN), str(Path(sys.executable).parent)]
    rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in first]
    return {
        "PATH": os.pathsep.join([*first, *rest]),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        _URL: paths.BACKEND.as_uri(),
        _PASSPHRASE_FILE: str(paths.PASSPHRASE),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "KUBECONFIG": str(paths.KUBECONFIG),
        **given,
    }


def backend() -> str:
    """The URL of the backend. One that another checkout's `modelstack env` has left in this shell is not meant."""
    given = os.environ.get(_URL, "")
    kept = f"/{paths.BACKEND.parent.name}/{paths.BACKEND.name}"
    return given if given and not given.rstrip("/").endswith(kept) else paths.BACKEND.as_uri()


def without_strangers(variables: dict[str, str]) -> dict[str, str]:
    """Variables without a passphrase of another backend: the engine prefers it to the file, whatever it holds."""
    return {name: value for name, value in variables.items() if name != _PASSPHRASE or name in _secrets()}


def _secrets() -> dict[str, str]:
    """How the engine is told to open the secrets of a backend that is not the checkout's."""
    if backend() == paths.BACKEND.as_uri():
        return {}
    return {name: os.environ[name] for name in (_PASSPHRASE, _PASSPHRASE_FILE) if name in os.environ}


def export_lines() -> str:
    """Lines for `eval "$(modelstack env)"`."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables().items()]
    # The engine prefers this variable to the file, whatever it holds.
    unset = [] if _PASSPHRASE in _secrets() else [f"unset {_PASSPHRASE}"]
    return "\n".join([*unset, *lines])


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
    """The stacks in the backend.

    Raises:
        UserError: it cannot be reached.
    """
    if backend() == paths.BACKEND.as_uri():  # a look into the folder spares everybody a start of the engine
        return sorted(file.stem for file in (paths.BACKEND / ".pulumi" / "stacks" / "modelstack").glob("*.json"))
    command = [str(paths.BIN / "pulumi"), "stack", "ls", "--project", "modelstack", "--json", "--non-interactive"]
    surroundings = without_strangers({**os.environ, **variables()})
    try:
        done = subprocess.run(command, env=surroundings, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise UserError("This checkout has no engine yet.", fix="run `modelstack tools`") from None
    except subprocess.CalledProcessError as error:
        fix = f"see that {_URL} is right, and that what opens it is set"
        raise UserError("The backend cannot be reached.", where=backend(), found=error.stderr.strip(), fix=fix) from None
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
