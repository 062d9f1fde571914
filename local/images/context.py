"""The files a build may see: what the ignore file lets in, told by a digest, and copied to where the builder works."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import UserError
from local.images.ignore import Ignore

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Context:
    """A build context and its Dockerfile.

    Args:
        folder: the root of the context.
        dockerfile: anywhere; `<dockerfile>.dockerignore` beside it goes before the context's `.dockerignore`.
    """

    folder: Path
    dockerfile: Path

    def check(self) -> None:
        """Raises a `UserError` for a context or Dockerfile that is not there."""
        if not self.folder.is_dir():
            raise UserError("The build context is not a folder.", where="build.context", found=self.folder)
        if not self.dockerfile.is_file():
            raise UserError("There is no such Dockerfile.", where="build.dockerfile", found=self.dockerfile)

    def entries(self) -> list[str]:
        """Paths of what is let in, files and folders, relative and in order."""
        ignore = self._ignore()
        found: list[str] = []
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(self.folder / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    out = ignore.leaves_out(path)
                    if not out:
                        found.append(path)
                    if entry.is_dir(follow_symlinks=False) and (not out or ignore.may_keep_below(path)):
                        pending.append(path)
        return sorted(found)

    def digest(self, *settings: str) -> str:
        """`sha256:...` over the Dockerfile, what is let in (names, contents, executable bits, link targets) and `settings`."""
        total = hashlib.sha256(b"1")
        for setting in settings:
            total.update(hashlib.sha256(setting.encode()).digest())
        total.update(hashlib.sha256(self.dockerfile.read_bytes()).digest())
        for path in self.entries():
            file = self.folder / path
            total.update(hashlib.sha256(path.encode()).digest())
            if file.is_symlink():
                total.update(b"link" + hashlib.sha256(os.readlink(file).encode()).digest())  # noqa: PTH115 - as bytes it is
            elif file.is_file():
                kind = b"program" if os.access(file, os.X_OK) else b"file"
                with file.open("rb") as content:
                    total.update(kind + hashlib.file_digest(content, "sha256").digest())
        return f"sha256:{total.hexdigest()}"

    def stage(self, target: Path) -> None:
        """Copies what is let in to `target`: the build then sees what the digest was made of and nothing else."""
        target.mkdir(parents=True)
        for path in self.entries():
            source, copy = self.folder / path, target / path
            if source.is_dir() and not source.is_symlink():
                copy.mkdir(parents=True, exist_ok=True)
                shutil.copymode(source, copy)
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink() or source.is_file():  # sockets and the like are in no image
                shutil.copy2(source, copy, follow_symlinks=False)

    def _ignore(self) -> Ignore:
        for file in (self.dockerfile.with_name(f"{self.dockerfile.name}.dockerignore"), self.folder / ".dockerignore"):
            if file.is_file():
                return Ignore(file.read_text())
        return Ignore()
