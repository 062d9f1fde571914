"""The user of the command."""

from __future__ import annotations

import getpass
import socket
import subprocess

from common import paths


def current_user() -> str:
    """Returns the user of the command: `user.email` of the Git configuration, or `<user>@<host>` if it is not an address."""
    result = subprocess.run(
        ["git", "-C", str(paths.CHECKOUT), "config", "user.email"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if "@" in result.stdout else f"{getpass.getuser()}@{socket.gethostname()}"
