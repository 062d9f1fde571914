"""Copies of the checkout, for whatever edits one: nobody's stack files change because tests run.

python -m tests.checkout FOLDER    makes FOLDER a clone, or renews it: `make e2e` works there
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

CHECKOUT = Path(__file__).resolve().parent.parent
STACK_FILES = CHECKOUT / "tests" / "stack_files"
"""Stack files that tests rely on. Those of the checkout itself are edited by whoever uses the product."""
TIERS = "infra/tiers/tiers.toml"
MARK = Path(".modelstack", "may-be-edited")
"""Says of a checkout that it may be edited by tests."""


def clone(folder: Path) -> None:
    """Makes `folder` a clone of the working copy, uncommitted changes included. What git ignores stays from the last time.

    Its stack files are those of the tests, and nobody is an approver.
    """
    commit = _git(CHECKOUT, "rev-parse", "HEAD").strip()
    if (folder / ".git").exists():
        _git(folder, "fetch", "--quiet", "--update-shallow", str(CHECKOUT), "HEAD")
    else:
        _git(CHECKOUT, "clone", "--quiet", "--no-checkout", str(CHECKOUT), str(folder))
    _git(folder, "checkout", "--quiet", "--force", "--detach", commit)
    _git(folder, "clean", "--quiet", "-d", "--force")
    for name in {*_files("diff", "--name-only", "HEAD"), *_files("ls-files", "--others", "--exclude-standard")}:
        _copy(name, folder)
    for key in ("user.name", "user.email"):  # who trains is who works here
        value = subprocess.run(["git", "config", key], cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()
        if value:
            _git(folder, "config", key, value)
    _settle(folder)
    (folder / MARK).parent.mkdir(exist_ok=True)
    (folder / MARK).write_text(f"of {CHECKOUT}\n")


def _settle(folder: Path) -> None:
    for file in folder.glob("Pulumi.tour-*.yaml"):  # git ignores them, so they stay from the last time
        file.unlink()
    for file in STACK_FILES.glob("Pulumi.*.yaml"):
        shutil.copy(file, folder / file.name)
    shutil.copy(STACK_FILES / "tiers.toml", folder / TIERS)


def _copy(name: str, folder: Path) -> None:
    path = PurePosixPath(name)
    if path.match("workloads/*/approvers.json") or path.match("/Pulumi.*.yaml") or name == TIERS:
        return
    source, target = CHECKOUT / name, folder / name
    if source.is_file() or source.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    else:
        target.unlink(missing_ok=True)  # deleted in the working copy


def _files(*command: str) -> list[str]:
    return [name for name in _git(CHECKOUT, *command, "-z").split("\0") if name]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    clone(Path(sys.argv[1]).resolve())
