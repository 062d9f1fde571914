"""Which code this checkout holds, and who works in it."""

from __future__ import annotations

import getpass
import socket
import subprocess

from common import paths

_UNKNOWN = "0000000-dirty"
"""For a checkout without history: no commit has this name."""


def revision() -> str:
    """The commit, with `-dirty` when the checkout differs from it. Stack files do not count: they are data, not code."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", str(paths.CHECKOUT), *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--", ".", ":(exclude)Pulumi.*.yaml")
    except (OSError, subprocess.CalledProcessError):
        return _UNKNOWN
    return f"{commit}-dirty" if changed else commit


def current_user() -> str:
    """Who runs the command: the mail address that git knows, else the user's name at the machine's."""
    done = subprocess.run(
        ["git", "-C", str(paths.CHECKOUT), "config", "user.email"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if "@" in done.stdout else f"{getpass.getuser()}@{socket.gethostname()}"
