"""Shows the state of a canary's watch: a live table on a terminal, a line of text every ten seconds elsewhere."""

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
    from delivery.trials.verdict import Verdict, WatchDisplay
    from workloads.gate import Finding

_LINE_SECONDS: Final = 10.0
_WIDTH: Final = 140
_COLUMNS: Final = ("requests", "failures", "refusals", "p50", "p99", "rows", "mean", "restarts")
_TITLES: Final = {"p50": "p50 ms", "p99": "p99 ms", "mean": "mean answer"}


@contextlib.contextmanager
def scoreboard(stream: TextIO, planned_seconds: float) -> Generator[WatchDisplay]:
    """Yields the display of a watch of `planned_seconds` on a stream."""
    if not stream.isatty():
        yield _PlainLines(stream, planned_seconds)
        return
    console = Console(file=stream, highlight=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def show(figures: Mapping[str, Figures], findings: tuple[Finding, ...], seconds: float) -> None:
            title = f"{duration(seconds)} of {duration(planned_seconds)}"
            live.update(watch_table(figures, findings, title), refresh=True)

        yield show


class _PlainLines:
    """Writes one line every ten seconds."""

    def __init__(self, stream: TextIO, planned_seconds: float) -> None:
        self._stream, self._planned_seconds, self._last = stream, planned_seconds, -_LINE_SECONDS

    def __call__(self, figures: Mapping[str, Figures], findings: tuple[Finding, ...], seconds: float) -> None:
        if seconds - self._last < _LINE_SECONDS:
            return
        self._last = seconds
        # A closed pipe (`... --watch | head`) must not stop the watch.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(f"[{seconds:5.0f} s of {self._planned_seconds:.0f} s] {watch_line(figures, findings)}\n")
            self._stream.flush()


def watch_line(figures: Mapping[str, Figures], findings: tuple[Finding, ...]) -> str:
    """Returns the figures by role and the broken rules in one line."""
    parts: list[str] = []
    for role, role_figures in figures.items():
        values = summary(role_figures)
        cells = (f"{_TITLES.get(name, name)} {format_figure(values[name])}" for name in _COLUMNS if name != "rows")
        parts.append(f"{role}: {', '.join(cells)}")
    broken = [finding.rule for finding in findings if not finding.passed and finding.value is not None]
    return "; ".join([*parts, f"broken: {', '.join(broken)}" if broken else "no rule broken"])


def watch_table(figures: Mapping[str, Figures], findings: tuple[Finding, ...], title: str) -> Table:
    """Returns a table of the figures by role, followed by a table of the findings."""
    grid = Table.grid()
    grid.add_row(title)
    variants = Table(box=None, pad_edge=False, header_style="bold")
    variants.add_column("variant")
    for name in _COLUMNS:
        variants.add_column(_TITLES.get(name, name), justify="right")
    for role, role_figures in figures.items():
        values = summary(role_figures)
        variants.add_row(role, *(format_figure(values[name]) for name in _COLUMNS))
    grid.add_row(variants)
    grid.add_row(findings_table(findings))
    return grid


def findings_table(findings: tuple[Finding, ...]) -> Table:
    """Returns a table of rules with the value found, the bound and whether the rule passed."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("rule", "found", "bound", "", ""):
        table.add_column(title, justify="right" if title in {"found", "bound"} else "left")
    for finding in findings:
        state = "[green]passed[/]" if finding.passed else "[red]FAILED[/]" if finding.value is not None else "unknown"
        table.add_row(finding.rule, format_figure(finding.value), format_figure(finding.bound), state, finding.note)
    return table


def print_verdict(verdict: Verdict, title: str) -> None:
    """Prints figures, findings and verdict of a watch."""
    console = wide_console(_WIDTH)
    console.print(watch_table(verdict.figures, verdict.findings, title))
    console.print(f"Verdict: {verdict.outcome} after {duration(verdict.seconds)}: {verdict.why}.", markup=False)


def print_findings(findings: tuple[Finding, ...]) -> None:
    """Prints the findings of a gate."""
    wide_console(_WIDTH).print(findings_table(findings))


def format_figure(value: float | None) -> str:
    """Formats a figure for a table: a whole number without decimals, and `-` for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"  # noqa: PLR2004 from there on, one decimal is enough
