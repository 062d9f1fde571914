"""What an image is built from: the last commit that changed it, and the digest of its content.

The training image contains both values, and runs record them from there. So a run records the code that it has executed, and
not the commit that somebody has checked out when it is started.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common import paths
from common.build_context import Context

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN_REVISION: Final = "0000000-dirty"
"""The revision of a checkout without Git history. No commit has this name."""


@dataclass(frozen=True, kw_only=True)
class ImageInputs:
    """The files of a checkout that one image is built from."""

    revision: str
    """The last commit that changed one of the files, with the suffix `-dirty` if the files differ from that commit."""
    digest: str
    """`sha256:` and the digest of the Dockerfile and of the files in the build context."""


def read(dockerfile: str, checkout: Path = paths.CHECKOUT) -> ImageInputs:
    """Reads the inputs of the image that a Dockerfile of the checkout describes.

    In a clone without the complete history, the revision is a later commit with the same files. Then another clone builds an
    image that differs in this name.

    Args:
        dockerfile: path in the checkout.
        checkout: the folder that is the build context.
    """
    context = Context(checkout, checkout / dockerfile)
    return ImageInputs(revision=_revision(context, dockerfile), digest=context.digest())


def _revision(context: Context, dockerfile: str) -> str:
    own = (dockerfile, f"{dockerfile}.dockerignore")
    try:
        commit = _git(context, "log", "-1", "--format=%H", "--", *own, *_path_specs(context, own[1]))
        if not commit:
            return UNKNOWN_REVISION
        changed = _git(context, "diff", "-z", "--name-only", "--no-renames", "--relative", commit[0])
        tracked = {*_git(context, "ls-files", "-z"), *own}
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN_REVISION
    files = {entry for entry in context.entries() if not (context.folder / entry).is_dir()}
    # A file that Git does not know, or ignores, is in the image as well: no commit describes it.
    is_dirty = not files <= tracked or any(name in own or context.includes(name) for name in changed)
    return f"{commit[0]}-dirty" if is_dirty else commit[0]


def _path_specs(context: Context, ignore_file: str) -> list[str]:
    """Returns the patterns of an ignore file as pathspecs of Git.

    The ignore files of this project first exclude everything, then include paths, then exclude some below them. Git has no such
    order: it excludes what one of the exclusions matches. For another ignore file the commit may be too old, but then the files
    differ from it, and the revision says so.
    """
    lines = [line.strip() for line in (context.folder / ignore_file).read_text(encoding="utf-8").splitlines()]
    patterns = [line for line in lines if line and line != "*" and not line.startswith("#")]
    included = [f":(glob){name}" for line in patterns if line.startswith("!") for name in _with_content(line[1:])]
    excluded = [f":(exclude,glob){name}" for line in patterns if not line.startswith("!") for name in _with_content(line)]
    return [*included, *excluded] if included else []


def _with_content(pattern: str) -> tuple[str, str]:
    return pattern, f"{pattern}/**"


def _git(context: Context, *words: str) -> list[str]:
    """Returns the lines of the output of a Git command, or its parts if it ends them with NUL."""
    command = ["git", "-C", str(context.folder), *words]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [part for part in output.split("\0" if "-z" in words else "\n") if part]
