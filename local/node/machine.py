"""What this machine can and cannot do, as far as a node has to know."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_CAP_SYS_RESOURCE: Final = 24


@dataclass(frozen=True)
class Machine:
    """Differences between machines that the configuration of a node follows.

    Args:
        sys_resource: whether CAP_SYS_RESOURCE is granted; without it no process may be protected from the OOM killer.
        snapshotter: of containerd: `overlayfs`, or `native` (copies) where the data itself lies on an overlay.
    """

    sys_resource: bool
    snapshotter: str


def require_root() -> None:
    """Refuses to go on where a node cannot run.

    Raises:
        UserError: not Linux, or not root.
    """
    if platform.system() != "Linux":
        raise UserError(
            "The embedded node runs on Linux only.", found=platform.system(), fix="use cluster.kind: kind or existing"
        )
    if os.geteuid() != 0:
        raise UserError(
            "The embedded node needs root: it makes namespaces, mounts and control groups.",
            found=f"user id {os.geteuid()}",
            fix="run as root (sudo -E ...), or use cluster.kind: kind or existing",
        )


def inspect(root: Path) -> Machine:
    """What holds for this process and a node with its data in `root`."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - a path object for /proc would read no better
        capabilities = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
    snapshotter = "native" if filesystem(root) in {"overlay", "aufs"} else "overlayfs"
    return Machine(bool(capabilities >> _CAP_SYS_RESOURCE & 1), snapshotter)


def filesystem(path: Path) -> str:
    """The type of the file system that `path` lies on."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    found = ""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:  # noqa: PTH123 - as above
        for line in mounts:
            fields = line.split()
            if fields[2] == wanted:
                found = fields[fields.index("-") + 1]
    return found
