"""`modelstack tour`: writes the stack files with which one tries stage and prod on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import paths
from common.errors import UserError
from delivery.machine import tour_files
from delivery.stacks import lock, stack_file
from infra.settings import loading, tour

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class _File:
    """A stack file of the tour, as it is and as it should be. `before` is empty if there is no file."""

    path: Path
    before: str
    after: str

    @property
    def edited(self) -> bool:
        """Whether somebody has changed more than releases and salt."""
        return bool(self.before) and self.before != self.after

    @property
    def diff(self) -> str:
        return stack_file.diff(self.path.name, self.before, self.after)


def main(*, dry_run: bool, force: bool) -> None:
    """Runs the command. Files that exist are never changed, unless `force` is set; then their releases stay."""
    with lock.exclusive("tour"):
        files = _files()
        changes = [file for file in files if file.diff and (force or not file.edited)]
        if dry_run:
            print("\n".join(file.diff for file in changes) or "Nothing would change.")
        else:
            for file in changes:
                stack_file.write(file.path, file.after)
            for file in files:
                print(f"{file.path.name:<23} {'written' if file in changes else 'kept' if file.edited else 'unchanged'}")
        _refuse([file for file in files if file.edited and file not in changes])
    if dry_run:
        return
    print("\nGit ignores these files. Pulumi.stage.yaml and Pulumi.prod.yaml are for clusters of your own, and did not change.")
    print("\nNext:")
    for command, description in next_commands():
        print(f"  {command:<60} {description}")


def next_commands() -> list[tuple[str, str]]:
    """Returns the commands to try next, each with a description."""
    workload = next(iter(loading.load(stack_file.path_of(tour.DEV)).workloads), "WORKLOAD")
    start = [] if paths.KUBECONFIG.is_file() else [("make up", f"create {tour.DEV}, whose cluster the tour uses")]
    return [
        *start,
        (f"modelstack up --stack {tour.STAGE}", "create the environment; it has no model yet"),
        (f"modelstack promote {workload} --to {tour.STAGE} --apply", f"release the stable version of {tour.DEV} there"),
        (f"modelstack up --stack {tour.PROD}", "create the next one; `From dev to prod` in README.md continues here"),
        (f"modelstack down --stack {tour.PROD}", f"destroy it; {tour.STAGE} likewise, then {tour.DEV}"),
    ]


def _files() -> list[_File]:
    texts = tour_files.texts(loading.load(stack_file.path_of(tour.DEV)))
    return [_file(path, texts[stack]) for stack, path in tour_files.paths_of().items()]


def _file(path: Path, generated: str) -> _File:
    if not path.exists():
        return _File(path=path, before="", after=generated)
    before = stack_file.read(path)
    try:
        unedited = tour_files.without_releases(before) == generated
        after = before if unedited else tour_files.with_releases_of(generated, before)
        loading.parse_text(after, path.name)
    except UserError as error:
        if error.where:
            raise
        raise UserError(
            error.what, where=path.name, found=error.found, fix="correct the file, then run the command again"
        ) from None
    return _File(path=path, before=before, after=after)


def _refuse(edited: list[_File]) -> None:
    if not edited:
        return
    raise UserError(
        "A stack file differs from the one that this command writes. It is not overwritten.",
        where=", ".join(file.path.name for file in edited),
        fix="use the file as it is, or write its settings again with `modelstack tour --force`: its releases stay, and "
        "`modelstack tour --force --dry-run` shows the change",
    )
