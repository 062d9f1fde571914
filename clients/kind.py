"""Asks the `kind` command for the clusters that it runs in Docker."""

from __future__ import annotations

import subprocess
from typing import Final

from common import bounded_process
from common.answers import Absent, Answer, Found, Unknown

_SECONDS: Final = 60.0


def kubeconfig(name: str) -> Answer[str]:
    """Returns the kubeconfig of a cluster of this machine, or says that `kind` has no cluster of this name."""
    names = _run(name, "get", "clusters")
    if not isinstance(names, Found):
        return names
    if name not in names.value.split():
        return Absent()
    return _run(name, "get", "kubeconfig", "--name", name)


def _run(name: str, *arguments: str) -> Found[str] | Unknown:
    where = f"kind cluster {name}"
    try:
        done = bounded_process.run(["kind", *arguments], _SECONDS)
    except OSError as error:
        reason = "the command `kind` is not installed" if isinstance(error, FileNotFoundError) else str(error)
        return Unknown(where=where, reason=reason, fix="install kind, then run the command again")
    except subprocess.TimeoutExpired:
        reason = f"`kind {' '.join(arguments)}` does not end within {_SECONDS:g} s"
        return Unknown(where=where, reason=reason, fix="check that Docker answers: run `docker ps`")
    if done.returncode != 0:
        return Unknown(where=where, reason=done.stderr.strip()[-500:], fix="check that Docker answers: run `docker ps`")
    return Found(done.stdout)
