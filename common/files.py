"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replaces a file. A crash leaves the old content or the new one. The file's mode stays; a new file gets 0644."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    _write(path, text, mode)


def write_private(path: Path, text: str) -> None:
    """Replaces a file that only its owner may read (mode 0600), and makes its folder where that is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text, 0o600)


def _write(path: Path, text: str, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(mode)  # whatever the umask is
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
