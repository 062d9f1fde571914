"""The environment variables with which the engine and its users find what an environment keeps under `.modelstack/`.

States are kept there as well, unless the engine's own variable names another backend: a team keeps the states of stage and prod
where all of it reaches them. The engine's own variables then also say how its secrets are opened.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from common import paths

BACKEND_URL: Final = "PULUMI_BACKEND_URL"
_PASSPHRASE, _PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"


def variables() -> dict[str, str]:
    """Environment variables for `pulumi`, `kubectl` and programs of theirs, PATH included."""
    given = {} if backend_url() == paths.BACKEND.as_uri() else {BACKEND_URL: backend_url(), **_secrets()}
    first = [str(paths.BIN), str(Path(sys.executable).parent)]
    rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in first]
    return {
        "PATH": os.pathsep.join([*first, *rest]),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        BACKEND_URL: paths.BACKEND.as_uri(),
        _PASSPHRASE_FILE: str(paths.PASSPHRASE),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "KUBECONFIG": str(paths.KUBECONFIG),
        **given,
    }


def backend_url() -> str:
    """The URL of the backend. One that another checkout's `modelstack env` has left in this shell is not meant."""
    given = os.environ.get(BACKEND_URL, "")
    kept = f"/{paths.BACKEND.parent.name}/{paths.BACKEND.name}"
    return given if given and not given.rstrip("/").endswith(kept) else paths.BACKEND.as_uri()


def without_strangers(variables: dict[str, str]) -> dict[str, str]:
    """Variables without a passphrase of another backend: the engine prefers it to the file, whatever it holds."""
    return {name: value for name, value in variables.items() if name != _PASSPHRASE or name in _secrets()}


def _secrets() -> dict[str, str]:
    """How the engine is told to open the secrets of a backend that is not the checkout's."""
    if backend_url() == paths.BACKEND.as_uri():
        return {}
    return {name: os.environ[name] for name in (_PASSPHRASE, _PASSPHRASE_FILE) if name in os.environ}


def export_lines() -> str:
    """Lines for `eval "$(modelstack env)"`."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables().items()]
    # The engine prefers this variable to the file, whatever it holds.
    unset = [] if _PASSPHRASE in _secrets() else [f"unset {_PASSPHRASE}"]
    return "\n".join([*unset, *lines])
