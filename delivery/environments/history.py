"""`modelstack history`: which versions answered requests and when, from the engine's records of updates."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from common.errors import UserError
from delivery.console.tables import plain_table, short, wide_console
from delivery.stacks import backend, stack_file
from delivery.stacks.engine_errors import up_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from delivery.stacks.stack_file import Block
    from delivery.stacks.updates import Update

_WIDTH = 120


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The variants of a workload's endpoint from one update until the next entry."""

    since: str
    """The end of the update, in UTC."""
    stable: int | None
    """The stable version; None if the endpoint did not exist any longer."""
    run: str = ""
    image: str = ""
    canary: str = ""
    """Version and share, for example `9 (10 %)`."""
    shadow: str = ""
    approved_by: str = ""


def history(stack: str, workload: str, *, at: str | None, as_json: bool) -> None:
    """Prints the entries of a workload, the newest first; with `at`, only the entry at that time."""
    if not backend.has_stack(stack):
        stack_file.read(stack_file.path_of(stack))  # raises if there is no such stack file either
        raise UserError(f"Stack {stack} is not up: it has no history in this backend.", fix=f"run `{up_command(stack)}`")
    from delivery.stacks.stack import Stack

    entries = list(entries_of(Stack.select(stack).updates(), workload))
    if at is not None:
        entries = entries_at(entries, parse_time(at))
    if as_json:
        print(json.dumps([asdict(entry) for entry in reversed(entries)], indent=2))
    elif entries:
        _show_history(reversed(entries))
    else:
        print(f"No version of {workload} answered in {stack}{f' at {at}' if at else ''}.")


def entries_of(updates: Iterable[Update], workload: str) -> Iterator[Entry]:
    """Yields an entry for each change of the variants, the oldest first.

    Failed updates count as well: they may have changed the variants before they failed.
    """
    last: Entry | None = None
    for update in sorted(updates, key=lambda update: update.ended):
        if update.kind != "update" and not update.emptied:
            continue
        block = None if update.emptied else update.releases.get(workload)
        entry = _entry(update, block)
        if last is None and entry.stable is None:
            continue
        if last is None or _variants(entry) != _variants(last):
            last = entry
            yield entry


def _entry(update: Update, block: Block | None) -> Entry:
    since = update.ended.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not block:
        return Entry(since=since, stable=None)
    if "versions" not in block:  # the format of stack files before there were variants
        block = {"stable": block["version"], "versions": [block]}
    stable: Block = {int(release["version"]): release for release in block["versions"]}[int(block["stable"])]
    canary = block.get("canary")
    return Entry(
        since=since,
        stable=int(block["stable"]),
        run=str(stable["run"]),
        image=str(stable["image"]),
        canary=f"{canary['version']} ({canary['percent']} %)" if canary else "",
        shadow=str(block.get("shadow") or ""),
        approved_by=str(stable["approval"]["by"]) if "approval" in stable else "",
    )


def _variants(entry: Entry) -> tuple[object, ...]:
    return (entry.stable, entry.run, entry.image, entry.canary, entry.shadow)


def entries_at(entries: list[Entry], when: datetime) -> list[Entry]:
    """Returns a list with the entry that was valid at a time; an empty list if there was no endpoint."""
    before = [entry for entry in entries if datetime.fromisoformat(entry.since) <= when]
    return [before[-1]] if before and before[-1].stable is not None else []


def parse_time(text: str) -> datetime:
    """Parses a date, which means the end of that day, or a time. The time zone is UTC if the text names none.

    Raises:
        UserError: the text is neither a date nor a time.
    """
    try:
        result = datetime.fromisoformat(text)
        if len(text) == len("2026-10-01"):
            result = datetime.combine(date.fromisoformat(text), time.max)
    except ValueError:
        raise UserError("This is not a date or time.", found=text, example="2026-10-01, or 2026-10-01T12:00:00Z") from None
    return result if result.tzinfo else result.replace(tzinfo=UTC)


def _show_history(entries: Iterable[Entry]) -> None:
    table = plain_table("since (UTC)", "stable", "run", "image", "canary", "shadow", "approved by")
    for entry in entries:
        since, stable = entry.since.replace("T", " ").removesuffix("Z"), str(entry.stable or "none")
        ids = (short(entry.run), short(entry.image))
        table.add_row(since, stable, *ids, entry.canary, entry.shadow, entry.approved_by)
    wide_console(_WIDTH).print(table)
