"""Which code this checkout holds."""

from __future__ import annotations

import subprocess

from local import paths

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
