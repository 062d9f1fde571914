"""A Debian system in the cache, in which the node and the image builder run, so that the host needs nothing installed.

debootstrap makes a minimal system once. As it is, it becomes the base image; with the packages of `PACKAGES` added, it
becomes the userland. Whoever runs something in the userland gets it as the lower layer of an overlay of their own: the
cached files are never written to.
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
"""Beside Debian's minimal variant in the base image."""
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
"""What the node and the image builder run, in the userland only."""

CA_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_NOT_IN_IMAGES: Final = ("proc", "sys", "dev", "run", "tmp", "var/cache/apt", "var/lib/apt/lists")
_LOG_TAIL: Final = 20

# Runs with root, old-root-free: the mounts live in the caller's private mount namespace and end with it.
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
    """The root of the userland, made now if the cache has none.

    Raises:
        UserError: debootstrap is missing, or a command failed (named, with the end of its output).
    """
    return _entry(progress) / "rootfs"


def base_image(progress: Progress) -> Path:
    """A tar of the minimal system, the root file system of the base image, made now if the cache has none.

    Raises:
        UserError: as `ensure`.
    """
    return _entry(progress) / "base.tar"


def argv(root: Path, command: Sequence[str], binds: Sequence[tuple[Path, str]] = ()) -> list[str]:
    """The arguments that run `command` in the userland at `root`, on the host's network and as its root user.

    It sees the userland, the host's /proc, /dev, /sys, resolver and CA bundle, and nothing else of the host but `binds`.
    What it writes outside `binds` is in memory and gone when it ends, as are all mounts.

    Args:
        root: from `ensure`.
        command: program and arguments; the program is looked for in the userland.
        binds: file or folder of the host, and the absolute path it gets.
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
    """Builds beside the entry and renames, so that whatever has the entry's name is whole."""
    if shutil.which("debootstrap") is None:
        raise UserError(
            "The userland is made with debootstrap, which is not installed.",
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
        # What debootstrap copied from this machine is not the image's business.
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
    # Last, because its existence is what makes an entry whole.
    part.rename(entry)


def _chroot(rootfs: Path, command: Sequence[str]) -> list[str]:
    """Writes to the root file system itself, unlike `argv`; services that packages would start are refused."""
    return ["sh", "-c", _CHROOT, "chroot", str(rootfs), *command]


def _run(command: Sequence[str], line: Callable[[str], None] | None = None) -> None:
    """Runs to the end in mount and process namespaces of its own, which die with this process, even by kill -9."""
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
            if line is not None:
                line(text)
    if process.returncode != 0:
        shown = " ".join(command[4:] if command[0] == "sh" else command)
        raise UserError(
            f"Making the userland failed: `{shown}` ended with status {process.returncode}.",
            found="\n" + "\n".join(f"    {row}" for row in tail),
            fix="mend what the output names (network, disk space), then run again; what was made so far is discarded",
        )


def _environment() -> dict[str, str]:
    """The environment without what would steer package installation from outside; proxies stay."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DEB", "APT_", "LC_", "LANG"))}


def _debootstrap_line(note: Callable[[str], None]) -> Callable[[str], None]:
    def show(text: str) -> None:
        if text.startswith("I: "):
            note(text[3:].strip().rstrip(".")[:60])

    return show


def _apt_line(advance: Callable[[float, float | None], None]) -> Callable[[str], None]:
    """Downloads count as the first half of the bar, unpacking as the second."""

    def show(text: str) -> None:
        found = re.match(r"(dl|pm)status:[^:]*:([0-9.]+):", text)
        if found:
            advance(float(found[2]) / 2 + (50 if found[1] == "pm" else 0), 100)

    return show
