"""What answered when, by the engine's own record of updates; and two environments side by side."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, cast

from common.errors import UserError
from delivery.releases import edits
from delivery.stacks import backend, stack_file
from infra.promotion.deployed import OUTPUT
from infra.settings import loading
from infra.settings.model import PROJECT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pulumi.automation import UpdateSummary

    from delivery.releases.edits import Block

_WIDTH = 120
CONFIG = f"{PROJECT}:{OUTPUT}"
"""The key of the releases in the configuration that the engine keeps with each update."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """One update of a stack, as the engine recorded it."""

    kind: str
    """`update`, `destroy`, `refresh`, ..."""
    ended: datetime
    emptied: bool
    """Whether nothing was left: a destruction of everything, not of some targets."""
    succeeded: bool
    releases: Mapping[str, Block]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a workload's endpoint answered with from one update on."""

    since: str
    stable: int | None
    """None: from here on there was no endpoint."""
    run: str = ""
    image: str = ""
    canary: str = ""
    """Version and share, for example `9 (10 %)`."""
    shadow: str = ""
    approved_by: str = ""


def history(stack: str, workload: str, *, at: str | None, as_json: bool) -> None:
    """Prints what answered, the newest first; with `at`, only what answered then."""
    if not backend.has_stack(stack):
        stack_file.read(stack_file.path_of(stack))  # or there is no such stack at all
        raise UserError(f"Stack {stack} is not up: it has no history here.", fix="run `make up`")
    from delivery.stacks.stack import Stack

    entries = list(entries_of(Stack(stack).updates(), workload))
    if at is not None:
        entries = answering(entries, moment(at))
    if as_json:
        print(json.dumps([asdict(entry) for entry in reversed(entries)], indent=2))
    elif entries:
        _show_history(reversed(entries))
    else:
        print(f"Nothing of {workload} answered in {stack}{f' at {at}' if at else ''}.")


def entries_of(updates: Iterable[Update], workload: str) -> Iterator[Entry]:
    """What changed in what answers, the oldest first. Updates that failed count as well: they may have changed it."""
    last: Entry | None = None
    for update in sorted(updates, key=lambda found: found.ended):
        if update.kind != "update" and not update.emptied:
            continue
        block = None if update.emptied else update.releases.get(workload)
        entry = _entry(update, block)
        if last is None and entry.stable is None:
            continue
        if last is None or _content(entry) != _content(last):
            last = entry
            yield entry


def _entry(update: Update, block: Block | None) -> Entry:
    since = update.ended.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not block:
        return Entry(since=since, stable=None)
    if "versions" not in block:  # as stack files had it before there were variants
        block = {"stable": block["version"], "versions": [block]}
    stable = edits.versions(block)[int(block["stable"])]
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


def _content(entry: Entry) -> tuple[object, ...]:
    return (entry.stable, entry.run, entry.image, entry.canary, entry.shadow)


def answering(entries: list[Entry], when: datetime) -> list[Entry]:
    """The entry that held at a moment, in a list; an empty one where nothing answered."""
    before = [entry for entry in entries if datetime.fromisoformat(entry.since) <= when]
    return [before[-1]] if before and before[-1].stable is not None else []


def moment(text: str) -> datetime:
    """A date (its end) or a moment, in UTC unless it says otherwise.

    Raises:
        UserError: neither.
    """
    try:
        found = datetime.fromisoformat(text)
        if len(text) == len("2026-10-01"):
            found = datetime.combine(date.fromisoformat(text), time.max)
    except ValueError:
        raise UserError("This is no date.", found=text, example="2026-10-01, or 2026-10-01T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def update_of(summary: UpdateSummary) -> Update:
    """What the Automation API tells of an update."""
    config: Mapping[str, Any] = summary.config or {}  # as the SDK has it
    # The SDK promises its enumeration as keys and gives what the engine's JSON has.
    operations = {str(getattr(operation, "value", operation)) for operation in summary.resource_changes or {}}
    raw = config[CONFIG].value if CONFIG in config else "{}"
    return Update(
        kind=str(summary.kind),
        ended=summary.end_time or summary.start_time,
        emptied=summary.kind == "destroy" and "same" not in operations,
        succeeded=summary.result == "succeeded",
        releases=cast("Mapping[str, Block]", json.loads(raw) if isinstance(raw, str) else raw),
    )


def _show_history(entries: Iterable[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    from delivery.environments.status import short

    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("since (UTC)", "stable", "run", "image", "canary", "shadow", "approved by"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        since, stable = entry.since.replace("T", " ").removesuffix("Z"), str(entry.stable or "none")
        ids = (short(entry.run), short(entry.image))
        table.add_row(since, stable, *ids, entry.canary, entry.shadow, entry.approved_by)
    console.print(table)


def differences(one: str, other: str, *, as_json: bool) -> None:
    """Prints what two stack files say differently."""
    found = compared(*(loading.load(stack_file.path_of(stack)) for stack in (one, other)))
    if as_json:
        print(json.dumps({key: {one: left, other: right} for key, (left, right) in found.items()}, indent=2))
        return
    if not found:
        print(f"{one} and {other} say the same.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("key", one, other):
        table.add_column(title, overflow="fold", no_wrap=title == "key")
    for key, sides in found.items():
        table.add_row(key, *("-" if side is None else str(side) for side in sides))
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    console.print(table)


def compared(one: Settings, other: Settings) -> dict[str, tuple[object, object]]:
    """The keys at which two environments differ, with both values; None where one has no such key."""
    left, right = (dict(_flat(each.model_dump(mode="json", by_alias=True))) for each in (one, other))
    keys = list(dict.fromkeys([*left, *right]))
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, part in cast("Mapping[str, object]", value).items():
                yield from _flat(part, f"{path}.{key}" if path else key)
        case list():
            for index, part in enumerate(cast("list[object]", value)):
                # Releases are told apart by their version, not by their place in the list.
                block = cast("Block", part) if isinstance(part, dict) else {}
                yield from _flat(cast("object", part), f"{path}.{block.get('version', index)}")
        case _:
            yield path, value
