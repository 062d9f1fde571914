"""Atomic file writes: after a crash, a file has either its old content or its new content."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_atomic(path: Path, text: str) -> None:
    """Replaces a file atomically and keeps its mode. A new file gets mode 0644."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    _write(path, text, mode)


def write_private(path: Path, text: str) -> None:
    """Replaces a file atomically and sets mode 0600: only its owner may read it. Creates the folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text, 0o600)


def _write(path: Path, text: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)  # the umask may have removed bits when the file was created
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
