"""The code revision of this checkout, and the user of the command."""

from __future__ import annotations

import getpass
import socket
import subprocess

from common import paths

_UNKNOWN = "0000000-dirty"
"""The revision of a checkout without Git history. No commit has this name."""


def revision() -> str:
    """Returns the commit, with the suffix `-dirty` if the checkout differs from it.

    Changed stack files are ignored, because they are data and not code.
    """

    def git(*args: str) -> str:
        result = subprocess.run(["git", "-C", str(paths.CHECKOUT), *args], capture_output=True, text=True, check=True)
        return result.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--", ".", ":(exclude)Pulumi.*.yaml")
    except (OSError, subprocess.CalledProcessError):
        return _UNKNOWN
    return f"{commit}-dirty" if changed else commit


def current_user() -> str:
    """Returns the user of the command: `user.email` of the Git configuration, or `<user>@<host>` if it is not an address."""
    result = subprocess.run(
        ["git", "-C", str(paths.CHECKOUT), "config", "user.email"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if "@" in result.stdout else f"{getpass.getuser()}@{socket.gethostname()}"
