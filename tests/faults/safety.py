"""What a command must do if a thing cannot be asked: change nothing, and say once what could not be asked and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.world import Outcome

_PROGRESS = re.compile(r"^\[ *[\d.]+ s\] ")
_ROWS = ("where:", "found:", "right:", "do:")


def violations(outcome: Outcome, before: dict[str, object], after: dict[str, object], *, shown: bool) -> Iterator[str]:
    """Yields what is wrong; nothing if the command was safe.

    Args:
        outcome: what the command did.
        before: what the command may change, before it ran.
        after: the same after it ran.
        shown: whether the command has to show the fault in its table, instead of ending with an error.
    """
    for name, content in before.items():
        if after[name] != content:
            yield f"changed: {name}{_difference(content, after[name])}"
    if outcome.traceback:
        yield f"a traceback: {outcome.traceback.strip().splitlines()[-1][:300]}"
        return
    if shown:
        yield from _shown(outcome)
        return
    if outcome.code != 1:
        yield f"exit code {outcome.code} instead of 1"
    yield from _one_message(outcome)


def _one_message(outcome: Outcome) -> Iterator[str]:
    lines = [line for line in outcome.err.splitlines() if not _PROGRESS.match(line)]
    rows = [line.strip() for line in lines if line.startswith("  ") and line.strip().startswith(_ROWS)]
    for row in ("where:", "found:", "do:"):
        count = sum(line.startswith(row) for line in rows)
        if count != 1:
            yield f"{count} lines with `{row}` instead of one, in {lines}"
        elif row == "found:" and next(line for line in rows if line.startswith(row)) == row:
            yield "the message does not say why"


def _shown(outcome: Outcome) -> Iterator[str]:
    if outcome.code != 0:
        yield f"exit code {outcome.code}, although the other environments can be shown"
    if not re.search(r"^(dev|stage|prod): (?!up)\S.*(?<!run `make up`)$", outcome.out, re.MULTILINE):
        yield f"no line says which environment cannot be read: {outcome.out}"


def _difference(before: object, after: object) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        return ": " + ", ".join(sorted(str(key) for key in {*before, *after} if before.get(key) != after.get(key)))
    return ""
