"""The properties of this machine that the configuration of a node depends on."""

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
    """The properties that differ between machines.

    Args:
        sys_resource: whether this process has the capability CAP_SYS_RESOURCE. Without it, no process can be protected from
            the OOM killer.
        snapshotter: containerd's snapshotter: `overlayfs`, or `native` (full copies) if the node's data is itself on an
            overlay file system.
    """

    sys_resource: bool
    snapshotter: str


def require_root() -> None:
    """Checks that a node can run here.

    Raises:
        UserError: the system is not Linux, or the user is not root.
    """
    if platform.system() != "Linux":
        raise UserError(
            "The embedded node runs on Linux only.", found=platform.system(), fix="use cluster.kind: kind or existing"
        )
    if os.geteuid() != 0:
        raise UserError(
            "The embedded node needs root: it creates namespaces, mounts and control groups.",
            found=f"user id {os.geteuid()}",
            fix="run as root (sudo -E ...), or use cluster.kind: kind or existing",
        )


def inspect(root: Path) -> Machine:
    """Returns the properties that apply to this process and to a node with its data in `root`."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - a path object for /proc would read no better
        capabilities = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
    snapshotter = "native" if filesystem(root) in {"overlay", "aufs"} else "overlayfs"
    return Machine(bool(capabilities >> _CAP_SYS_RESOURCE & 1), snapshotter)


def filesystem(path: Path) -> str:
    """Returns the type of the file system that `path` is on; empty if the mount is not known."""
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    kind = ""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:  # noqa: PTH123 - as above
        for line in mounts:
            fields = line.split()
            if fields[2] == device:
                kind = fields[fields.index("-") + 1]
    return kind
