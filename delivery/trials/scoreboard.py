"""What a watch of a canary has seen so far: a live table on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from delivery.console.tables import wide_console
from delivery.console.terminal import duration
from delivery.trials.verdict import summary

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from delivery.trials.figures import Figures
    from delivery.trials.verdict import Shown, Verdict
    from workloads.gate import Finding

_QUIET_SECONDS: Final = 10.0
_WIDTH: Final = 140
_COLUMNS: Final = ("requests", "failures", "refusals", "p50", "p99", "rows", "mean", "restarts")
_TITLES: Final = {"p50": "p50 ms", "p99": "p99 ms", "mean": "mean answer"}


@contextlib.contextmanager
def scoreboard(stream: TextIO, wanted: float) -> Generator[Shown]:
    """Shows a watch of `wanted` seconds on a stream."""
    if not stream.isatty():
        yield _Lines(stream, wanted)
        return
    console = Console(file=stream, highlight=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(figures: Mapping[str, Figures], findings: tuple[Finding, ...], seconds: float) -> None:
            live.update(board(figures, findings, f"{duration(seconds)} of {duration(wanted)}"), refresh=True)

        yield show


class _Lines:
    """A line every ten seconds."""

    def __init__(self, stream: TextIO, wanted: float) -> None:
        self._stream, self._wanted, self._last = stream, wanted, -_QUIET_SECONDS

    def __call__(self, figures: Mapping[str, Figures], findings: tuple[Finding, ...], seconds: float) -> None:
        if seconds - self._last < _QUIET_SECONDS:
            return
        self._last = seconds
        # A closed pipe (`... --watch | head`) must not stop the watch.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(f"[{seconds:5.0f} s of {self._wanted:.0f} s] {line(figures, findings)}\n")
            self._stream.flush()


def line(figures: Mapping[str, Figures], findings: tuple[Finding, ...]) -> str:
    """All of it in one line."""
    parts: list[str] = []
    for role, found in figures.items():
        told = summary(found)
        cells = (f"{_TITLES.get(name, name)} {cell(told[name])}" for name in _COLUMNS if name != "rows")
        parts.append(f"{role}: {', '.join(cells)}")
    broken = [finding.rule for finding in findings if not finding.passed and finding.value is not None]
    return "; ".join([*parts, f"broken: {', '.join(broken)}" if broken else "no rule broken"])


def board(figures: Mapping[str, Figures], findings: tuple[Finding, ...], title: str) -> Table:
    """All of it as a table: variants, then rules."""
    whole = Table.grid()
    whole.add_row(title)
    variants = Table(box=None, pad_edge=False, header_style="bold")
    variants.add_column("variant")
    for name in _COLUMNS:
        variants.add_column(_TITLES.get(name, name), justify="right")
    for role, found in figures.items():
        told = summary(found)
        variants.add_row(role, *(cell(told[name]) for name in _COLUMNS))
    whole.add_row(variants)
    whole.add_row(rules(findings))
    return whole


def rules(findings: tuple[Finding, ...]) -> Table:
    """The rules, what was found and what each allows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("rule", "found", "bound", "", ""):
        table.add_column(title, justify="right" if title in {"found", "bound"} else "left")
    for finding in findings:
        state = "[green]passed[/]" if finding.passed else "[red]FAILED[/]" if finding.value is not None else "unknown"
        table.add_row(finding.rule, cell(finding.value), cell(finding.bound), state, finding.note)
    return table


def tell(verdict: Verdict, title: str) -> None:
    """Prints how it ended."""
    console = wide_console(_WIDTH)
    console.print(board(verdict.figures, verdict.findings, title))
    console.print(f"Verdict: {verdict.outcome} after {duration(verdict.seconds)}: {verdict.why}.", markup=False)


def tell_rules(findings: tuple[Finding, ...]) -> None:
    """Prints what a gate says."""
    wide_console(_WIDTH).print(rules(findings))


def cell(value: float | None) -> str:
    """A figure as a reader wants it."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"  # noqa: PLR2004 readable from there on
