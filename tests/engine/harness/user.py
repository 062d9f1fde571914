"""Runs commands as an ordinary user, who may read neither root's home folder nor write anything but a folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = 65534
# The interpreter of the tests may be in a folder that only root can enter, for example below /root. In a mount namespace of its
# own, the user sees an empty folder in that place, and in it the interpreter alone.
SHOW_ONLY = """
set -eu
hidden=$1; shelf=$2; shift 2
number=0
for folder in $1; do
    number=$((number + 1)); mkdir -p "$shelf/$number"; mount --bind "$folder" "$shelf/$number"
done
for folder in $hidden; do mount -t tmpfs -o mode=755 tests "$folder"; done
number=0
for folder in $1; do
    number=$((number + 1)); mkdir -p "$folder"; mount --bind "$shelf/$number" "$folder"
done
shift
exec "$@"
"""


@dataclass(frozen=True, kw_only=True)
class User:
    """An ordinary user. If the tests do not run as root, this is the user who runs them."""

    folder: Path
    """Belongs to the user."""
    environ: dict[str, str] = field(repr=False)

    @property
    def id(self) -> int:
        return os.geteuid() or NOBODY

    def takes(self, folder: Path) -> None:
        """Makes the user the owner of a folder with all that is in it."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        line = [*self._prefix(), *command]
        return subprocess.run(line, cwd=cwd, env=self.environ, capture_output=True, text=True, check=False, timeout=250)

    def _prefix(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        needed = list(dict.fromkeys(str(Path(prefix).resolve()) for prefix in (sys.base_prefix, sys.prefix)))
        closed = {path: folder for path in needed if (folder := closed_parent(Path(path)))}
        ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
        folders = [" ".join(dict.fromkeys(map(str, closed.values()))), str(self.folder / "shelf"), " ".join(closed)]
        mounts = ["unshare", "--mount", "sh", "-c", SHOW_ONLY, "sh", *folders]
        return [*mounts, "setpriv", *ids, "--"]


def closed_parent(path: Path) -> Path | None:
    """The outermost folder on the way to a path that others than its owner may not enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)
