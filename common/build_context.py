"""Build contexts: the files that a build may read. The ignore file selects them, and a digest identifies their content."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_GLOB: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.|.", re.DOTALL)


def _regex(pattern: str) -> re.Pattern[str]:
    """Converts a pattern to a regular expression. `**` also matches `/`; `*` and `?` do not."""
    parts: list[str] = []
    for token in _GLOB.findall(pattern):
        match token:
            case "**/":
                parts.append("(?:.*/)?")
            case "**":
                parts.append(".*")
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case _ if token.startswith("[") and len(token) > 1:
                parts.append(token.replace("\\", "\\\\"))
            case _ if token.startswith("\\") and len(token) > 1:
                parts.append(re.escape(token[1]))
            case _:
                parts.append(re.escape(token))
    return re.compile("".join(parts))


@dataclass(frozen=True)
class _Rule:
    regex: re.Pattern[str]
    includes: bool
    """Whether the pattern starts with `!`."""
    literal: tuple[str, ...]
    """The leading parts of the pattern, up to the first part with a wildcard."""


class Ignore:
    """The rules of one ignore file. The last rule that matches a path, or a folder above it, decides."""

    def __init__(self, text: str = "") -> None:
        self._rules: list[_Rule] = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            includes = pattern.startswith("!")
            pattern = re.sub("/+", "/", pattern[includes:].strip()).strip("/").removeprefix("./")
            if not pattern:
                continue
            literal: list[str] = []
            for part in pattern.split("/"):
                if re.search(r"[*?\[\\]", part):
                    break
                literal.append(part)
            self._rules.append(_Rule(_regex(pattern), includes, tuple(literal)))

    def excludes(self, path: str) -> bool:
        """Returns whether the rules exclude a file or folder. The path is relative to the context and uses `/`."""
        parts = path.split("/")
        prefixes = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        for rule in reversed(self._rules):
            if any(rule.regex.fullmatch(prefix) for prefix in prefixes):
                return not rule.includes
        return False

    def may_include_below(self, folder: str) -> bool:
        """Returns whether the rules may include a path below an excluded folder."""
        parts = tuple(folder.split("/"))
        return any(rule.includes and self._may_match_below(rule.literal, parts) for rule in self._rules)

    @staticmethod
    def _may_match_below(literal: tuple[str, ...], folder: tuple[str, ...]) -> bool:
        shared = min(len(literal), len(folder))
        return literal[:shared] == folder[:shared]


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

    def includes(self, path: str) -> bool:
        """Returns whether a path belongs to the context, relative to it. The file need not exist any more."""
        return not self._ignore().excludes(path)

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
