"""`.dockerignore` files: which paths of a build context are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_GLOB: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.|.", re.DOTALL)


def _regex(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression: `**` crosses folders, `*` and `?` do not."""
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
    keeps: bool
    literal: tuple[str, ...]
    """The folders the pattern starts with, up to the first one that has a wildcard."""


class Ignore:
    """The rules of one file. The last rule that matches a path or a folder above it decides."""

    def __init__(self, text: str = "") -> None:
        self._rules: list[_Rule] = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            keeps = pattern.startswith("!")
            pattern = re.sub("/+", "/", pattern[keeps:].strip()).strip("/").removeprefix("./")
            if not pattern:
                continue
            literal: list[str] = []
            for part in pattern.split("/"):
                if re.search(r"[*?\[\\]", part):
                    break
                literal.append(part)
            self._rules.append(_Rule(_regex(pattern), keeps, tuple(literal)))

    def leaves_out(self, path: str) -> bool:
        """Whether a file or folder (relative, with `/`) is left out."""
        parts = path.split("/")
        above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        for rule in reversed(self._rules):
            if any(rule.regex.fullmatch(part) for part in above):
                return not rule.keeps
        return False

    def may_keep_below(self, folder: str) -> bool:
        """Whether something below a folder that is left out may be kept all the same."""
        parts = tuple(folder.split("/"))
        return any(rule.keeps and self._meets(rule.literal, parts) for rule in self._rules)

    @staticmethod
    def _meets(literal: tuple[str, ...], folder: tuple[str, ...]) -> bool:
        shared = min(len(literal), len(folder))
        return literal[:shared] == folder[:shared]
