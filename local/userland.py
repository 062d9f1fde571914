"""The userland: a Debian system in the cache in which the node and the image builder run, so that the host needs no packages.

debootstrap creates a minimal Debian system once. Its file system becomes the base image. With the packages of `PACKAGES`
installed in addition, it becomes the userland. Each command in the userland runs on an overlay file system of its own, whose
lower layer is the userland: the cached files are never changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common import paths
from common.errors import UserError
from local.turns import one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.progress import Progress

SUITE: Final = "bookworm"
BASE_PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
"""The packages of the base image in addition to Debian's minimal variant."""
PACKAGES: Final = (
    "buildah",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "docker-registry",
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "mount",
    "openssl",
    "passt",
    "procps",
    "runc",
    "runit",
    "util-linux",
)
"""The packages that the node and the image builder need. They are in the userland and not in the base image."""

CA_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_NOT_IN_IMAGES: Final = ("proc", "sys", "dev", "run", "tmp", "var/cache/apt", "var/lib/apt/lists")
_LOG_TAIL: Final = 20

# Makes the overlay the root file system, and then unmounts the host's. All mounts are in the caller's private mount namespace
# and end with it.
_ENTER: Final = """
set -eu
PATH=$PATH:/usr/sbin:/sbin  # pivot_root is there, and a root without a login shell has neither
root=$1; shift
scratch=$root/../scratch
mount -t tmpfs -o mode=755 modelstack "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" modelstack "$scratch/root"
new=$scratch/root
for dir in proc dev sys; do mount --rbind "/$dir" "$new/$dir"; done
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
while [ "$1" != -- ]; do
    source=$1; target=$new$2; shift 2
    if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "${target%/*}"; [ -e "$target" ] || : > "$target"; fi
    mount --rbind "$source" "$target"
done
shift
cd "$new"
mkdir -p .host
pivot_root . .host
exec /usr/sbin/chroot . /bin/sh -c 'umount -l /.host; cd /; exec "$@"' userland "$@"
"""

_CHROOT: Final = r"""
set -eu
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
mount -t tmpfs tmpfs "$1/run"
printf '#!/bin/sh\nexit 101\n' > "$1/run/policy-rc.d"
chmod +x "$1/run/policy-rc.d"
: > "$1/usr/sbin/policy-rc.d"
mount --bind "$1/run/policy-rc.d" "$1/usr/sbin/policy-rc.d"
root=$1; shift
exec chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


def ensure(progress: Progress) -> Path:
    """Returns the root folder of the userland, and creates the userland first if the cache does not have it.

    Raises:
        UserError: debootstrap is missing, or a command failed. The error names the command and shows the end of its output.
    """
    return _entry(progress) / "rootfs"


def base_image(progress: Progress) -> Path:
    """Returns the tar file of the minimal system, which is the root file system of the base image.

    Creates the userland first if the cache does not have it.

    Raises:
        UserError: as for `ensure`.
    """
    return _entry(progress) / "base.tar"


def argv(root: Path, command: Sequence[str], binds: Sequence[tuple[Path, str]] = ()) -> list[str]:
    """Returns the command line that runs `command` in the userland, as the host's root user and in the host's network.

    The command can access the userland, `binds`, and the host's /proc, /dev, /sys, /etc/hosts, resolver configuration and CA
    bundle; nothing else of the host. The files that it writes outside of `binds` are in memory. They are lost when the command
    ends, and all mounts are removed.

    Args:
        root: the root folder of the userland, from `ensure`.
        command: the program and its arguments. The program is searched for in the userland.
        binds: pairs of a file or folder of the host and its absolute path in the userland.
    """
    shared = [(Path("/etc/resolv.conf"), "/etc/resolv.conf"), (Path("/etc/hosts"), "/etc/hosts")]
    if CA_BUNDLE.exists():
        shared.append((CA_BUNDLE, str(CA_BUNDLE)))
    mounts = [text for source, target in (*shared, *binds) for text in (str(source), target)]
    environment = ["/usr/bin/env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
    unshare = ["unshare", "--mount", "--propagation", "private", "--"]
    return [*unshare, "sh", "-c", _ENTER, "userland", str(root), *mounts, "--", *environment, *command]


def _entry(progress: Progress) -> Path:
    entry = paths.cache_entry("userland", "2", SUITE, " ".join(BASE_PACKAGES), " ".join(PACKAGES))
    if (entry / "rootfs").is_dir():
        return entry
    with one_at_a_time(entry.parent / "userland.lock", "userland: wait for another build", progress):
        if (entry / "rootfs").is_dir():
            return entry
        for abandoned in entry.parent.glob("userland-*.part-*"):
            shutil.rmtree(abandoned)
        _make(entry, progress)
    return entry


def _make(entry: Path, progress: Progress) -> None:
    """Builds the userland in another folder and renames it at the end, so that a folder with the entry's name is complete."""
    if shutil.which("debootstrap") is None:
        raise UserError(
            "The userland is created with debootstrap, which is not installed.",
            where="PATH",
            fix="apt-get install debootstrap debian-archive-keyring",
        )
    part = Path(tempfile.mkdtemp(prefix=f"{entry.name}.part-", dir=entry.parent))
    part.chmod(0o755)
    rootfs = part / "rootfs"
    (part / "scratch").mkdir()
    packages = ",".join(BASE_PACKAGES)
    with progress.step("userland: base system") as step:
        _run(["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(rootfs)], _debootstrap_line(step.note))
        # debootstrap has copied these files from this machine. They must not be part of the image.
        for name in ("resolv.conf", "hostname", "hosts"):
            (rootfs / "etc" / name).write_text("127.0.0.1 localhost\n::1 localhost\n" if name == "hosts" else "")
        skipped = [f"--exclude=./{name}/*" for name in _NOT_IN_IMAGES]
        _run(["tar", "--create", "--numeric-owner", f"--file={part}/base.tar", f"--directory={rootfs}", *skipped, "."])
    with progress.step("userland: packages") as step:
        options = ["--yes", "--no-install-recommends", "--option", "APT::Status-Fd=1", "--option", "APT::Sandbox::User=root"]
        install = ["apt-get", "install", *options, *PACKAGES]
        for command in (["apt-get", "update"], install, ["apt-get", "clean"]):
            _run(_chroot(rootfs, command), _apt_line(step.advance))
        shutil.rmtree(rootfs / "var/lib/apt/lists")
    # The last step, because an entry that exists counts as complete.
    part.rename(entry)


def _chroot(rootfs: Path, command: Sequence[str]) -> list[str]:
    """Returns the command line that runs `command` in the root file system itself, and thus changes it, unlike `argv`.

    Packages cannot start services there.
    """
    return ["sh", "-c", _CHROOT, "chroot", str(rootfs), *command]


def _run(command: Sequence[str], on_line: Callable[[str], None] | None = None) -> None:
    """Runs a command in its own mount and process namespaces, which end when this process ends, even by `kill -9`.

    Raises:
        UserError: the command failed.
    """
    confined = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    tail: list[str] = []
    with subprocess.Popen(
        [*confined, "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            tail = [*tail[1 - _LOG_TAIL :], text.rstrip()]
            if on_line is not None:
                on_line(text)
    if process.returncode != 0:
        shown = " ".join(command[4:] if command[0] == "sh" else command)
        raise UserError(
            f"The userland cannot be created: `{shown}` failed with status {process.returncode}.",
            found="\n" + "\n".join(f"    {row}" for row in tail),
            fix="fix what the output names (network, disk space), then run again; the incomplete userland is discarded",
        )


def _environment() -> dict[str, str]:
    """Returns the environment variables without those that influence package installation. Proxy settings are retained."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DEB", "APT_", "LC_", "LANG"))}


def _debootstrap_line(note: Callable[[str], None]) -> Callable[[str], None]:
    def on_line(text: str) -> None:
        if text.startswith("I: "):
            note(text[3:].strip().rstrip(".")[:60])

    return on_line


def _apt_line(advance: Callable[[float, float | None], None]) -> Callable[[str], None]:
    """Returns a function that shows apt's progress: downloads are the first half of the bar, unpacking is the second."""

    def on_line(text: str) -> None:
        found = re.match(r"(dl|pm)status:[^:]*:([0-9.]+):", text)
        if found:
            advance(float(found[2]) / 2 + (50 if found[1] == "pm" else 0), 100)

    return on_line
