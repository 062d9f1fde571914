"""Pulumi's download site: asked once, and not again for a day where it cannot be reached."""

from __future__ import annotations

import json
import platform
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from local import paths

if TYPE_CHECKING:
    from pathlib import Path

SITE: Final = "https://get.pulumi.com"
PLATFORM: Final = f"linux-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }"
TIMEOUT_SECONDS: Final = 3
DAY_SECONDS: Final = 24 * 3600


def _record() -> Path:
    return paths.cache_home() / "refused.json"


def refused() -> bool:
    """Whether the site could not be reached within the last day."""
    try:
        at = float(json.loads(_record().read_text())[SITE])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return 0 <= time.time() - at < DAY_SECONDS


def remember_refusal() -> None:
    """Notes that the site did not answer now."""
    record = _record()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({SITE: time.time()}))


def offered(url: str, *, retry: bool = False) -> bool:
    """Whether the site has `url`. A site that does not answer is remembered, a file it does not have is not.

    Args:
        url: on the site.
        retry: ask although it was refused within the last day.
    """
    if not retry and refused():
        return False
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310, the site is a constant
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310, as above
            return True
    except urllib.error.HTTPError as error:
        if error.code == 404:  # noqa: PLR2004, not found
            return False
        remember_refusal()
    except OSError:
        remember_refusal()
    return False
