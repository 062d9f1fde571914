"""Reads `.dockerignore` files, which exclude paths from a build context."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

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
