"""Downloads from Pulumi's download site. If the site cannot be reached, it is not tried again for a day."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.progress import Progress

SITE: Final = "https://get.pulumi.com"
PLATFORM: Final = f"linux-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }"
"""The platform in the file names of plugins. File names of the CLI have `x64` instead of `amd64`."""
TIMEOUT_SECONDS: Final = 3
DAY_SECONDS: Final = 24 * 3600
CHUNK: Final = 1024 * 1024


def _record() -> Path:
    return paths.cache_home() / "refused.json"


def recently_unreachable() -> bool:
    """Returns whether the site could not be reached within the last day."""
    try:
        at = float(json.loads(_record().read_text())[SITE])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return 0 <= time.time() - at < DAY_SECONDS


def record_unreachable() -> None:
    """Records that the site cannot be reached now."""
    record = _record()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({SITE: time.time()}))


def is_available(url: str, *, retry: bool = False) -> bool:
    """Returns whether the site has the file `url`.

    An unreachable site is recorded and not tried again for a day. A missing file is not recorded.

    Args:
        url: the URL of a file on the site.
        retry: whether to try again although the site could not be reached within the last day.
    """
    if not retry and recently_unreachable():
        return False
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310, the site is a constant
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310, as above
            return True
    except urllib.error.HTTPError as error:
        if error.code == 404:  # noqa: PLR2004, not found
            return False
        record_unreachable()
    except OSError:
        record_unreachable()
    return False


def release(version: str, progress: Progress) -> Path | None:
    """Returns the CLI of an official release, with the language hosts beside it, or None if it cannot be downloaded.

    The archive has to match the checksum that the site publishes for it.
    """
    folder = paths.cache_home() / f"pulumi-release-{version}"
    executable = folder / "pulumi"
    if executable.is_file():
        return executable
    archive = f"pulumi-v{version}-{PLATFORM.replace('amd64', 'x64')}.tar.gz"
    if not is_available(f"{SITE}/releases/sdk/{archive}"):
        return None
    paths.cache_home().mkdir(parents=True, exist_ok=True)
    with progress.step(f"pulumi {version}: download") as step, tempfile.TemporaryDirectory(dir=paths.cache_home()) as scratch:
        file = Path(scratch, archive)
        try:
            expected = _checksum(version, archive)
            actual = _fetch(f"{SITE}/releases/sdk/{archive}", file, step.advance)
        except OSError:
            record_unreachable()
            return None
        if actual != expected:
            return None  # incomplete or manipulated: the CLI is built instead
        with tarfile.open(file) as opened:
            opened.extractall(scratch, filter="data")
        shutil.rmtree(folder, ignore_errors=True)
        Path(scratch, "pulumi").rename(folder)
    return executable


def _checksum(version: str, archive: str) -> str:
    url = f"{SITE}/releases/sdk/pulumi-{version}-checksums.txt"
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310, the site is a constant
        for line in response.read().decode().splitlines():
            digest, _, name = line.partition(" ")
            if name.strip().lstrip("*") == archive:
                return digest
    raise OSError(f"{url} has no checksum for {archive}")


def _fetch(url: str, target: Path, advance: Callable[[float, float | None], None]) -> str:
    """Downloads a file and returns its SHA-256 digest in hexadecimal."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=30) as response, target.open("wb") as file:  # noqa: S310, the site is a constant
        total = float(response.headers.get("Content-Length") or 0) or None
        done = 0
        while chunk := response.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            advance(done, total)
    return digest.hexdigest()
