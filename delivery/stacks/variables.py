"""The environment variables with which `pulumi`, `kubectl` and their users find the files of an environment in `.modelstack/`.

The states of the stacks are there too, unless `PULUMI_BACKEND_URL` names another backend: a team stores the states of stage and
prod where all its members can reach them. Pulumi's own passphrase variables then also apply to the secrets in that backend.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
from pathlib import Path
from typing import Final

from common import paths
from infra import ownership

BACKEND_URL: Final = "PULUMI_BACKEND_URL"
_PASSPHRASE, _PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"


def variables() -> dict[str, str]:
    """Returns the environment variables for `pulumi`, `kubectl` and the programs that they start, including PATH."""
    shared_backend = {} if backend_url() == paths.BACKEND.as_uri() else {BACKEND_URL: backend_url(), **_secrets()}
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
        **shared_backend,
    }


def backend_url() -> str:
    """Returns the URL of the backend: `PULUMI_BACKEND_URL` if it is set, else the folder of this checkout.

    A URL of another checkout's folder is ignored: the user ran `modelstack env` of that checkout in this shell.
    """
    url = os.environ.get(BACKEND_URL, "")
    checkout_folder = f"/{paths.BACKEND.parent.name}/{paths.BACKEND.name}"
    return url if url and not url.rstrip("/").endswith(checkout_folder) else paths.BACKEND.as_uri()


def shown_backend() -> str:
    """Returns the URL of the backend as people may see it: without credentials."""
    return ownership.described(backend_url(), socket.gethostname())


def without_foreign_passphrase(variables: dict[str, str]) -> dict[str, str]:
    """Returns `variables` without a passphrase that belongs to another backend.

    The engine prefers `PULUMI_CONFIG_PASSPHRASE` to the passphrase file, even if the variable is empty.
    """
    return {name: value for name, value in variables.items() if name != _PASSPHRASE or name in _secrets()}


def _secrets() -> dict[str, str]:
    """Returns the passphrase variables of this process if a team's backend is used; empty for the checkout's own backend."""
    if backend_url() == paths.BACKEND.as_uri():
        return {}
    return {name: os.environ[name] for name in (_PASSPHRASE, _PASSPHRASE_FILE) if name in os.environ}


def export_lines() -> str:
    """Returns shell lines for `eval "$(modelstack env)"`."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables().items()]
    # The engine prefers this variable to the passphrase file, even if the variable is empty.
    unset = [] if _PASSPHRASE in _secrets() else [f"unset {_PASSPHRASE}"]
    return "\n".join([*unset, *lines])
