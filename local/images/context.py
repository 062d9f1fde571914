"""Build contexts: the files that a build may read. The ignore file selects them, and a digest identifies their content."""

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
        dockerfile: the path of the Dockerfile, in any folder. `<dockerfile>.dockerignore` beside it takes precedence over the
            context's `.dockerignore`.
    """

    folder: Path
    dockerfile: Path

    def check(self) -> None:
        """Checks that the context and the Dockerfile exist.

        Raises:
            UserError: the context is not a folder, or the Dockerfile is not a file.
        """
        if not self.folder.is_dir():
            raise UserError("The build context is not a folder.", where="build.context", found=self.folder)
        if not self.dockerfile.is_file():
            raise UserError("The Dockerfile does not exist.", where="build.dockerfile", found=self.dockerfile)

    def entries(self) -> list[str]:
        """Returns the sorted paths of the included files and folders, relative to the context."""
        ignore = self._ignore()
        paths: list[str] = []
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(self.folder / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    excluded = ignore.excludes(path)
                    if not excluded:
                        paths.append(path)
                    if entry.is_dir(follow_symlinks=False) and (not excluded or ignore.may_include_below(path)):
                        pending.append(path)
        return sorted(paths)

    def digest(self, *settings: str) -> str:
        """Returns the digest (`sha256:...`) of the inputs of a build.

        The inputs are the Dockerfile, the included files (their names, contents, executable bits and link targets) and
        `settings`.
        """
        total = hashlib.sha256(b"1")
        for setting in settings:
            total.update(hashlib.sha256(setting.encode()).digest())
        total.update(hashlib.sha256(self.dockerfile.read_bytes()).digest())
        for path in self.entries():
            file = self.folder / path
            total.update(hashlib.sha256(path.encode()).digest())
            if file.is_symlink():
                total.update(b"link" + hashlib.sha256(os.readlink(file).encode()).digest())  # noqa: PTH115 - as a string, not as a path
            elif file.is_file():
                kind = b"program" if os.access(file, os.X_OK) else b"file"
                with file.open("rb") as content:
                    total.update(kind + hashlib.file_digest(content, "sha256").digest())
        return f"sha256:{total.hexdigest()}"

    def copy_to(self, target: Path) -> None:
        """Copies the included files to `target`, so that the build reads exactly the files that the digest describes."""
        target.mkdir(parents=True)
        for path in self.entries():
            source, copy = self.folder / path, target / path
            if source.is_dir() and not source.is_symlink():
                copy.mkdir(parents=True, exist_ok=True)
                shutil.copymode(source, copy)
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink() or source.is_file():  # other types, such as sockets, cannot be part of an image
                shutil.copy2(source, copy, follow_symlinks=False)

    def _ignore(self) -> Ignore:
        for file in (self.dockerfile.with_name(f"{self.dockerfile.name}.dockerignore"), self.folder / ".dockerignore"):
            if file.is_file():
                return Ignore(file.read_text())
        return Ignore()
