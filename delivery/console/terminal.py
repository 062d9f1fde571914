"""Shows the steps of a command as a live tree on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from delivery.console.steps import StepNode

_GLYPHS = {"running": ("•", "cyan"), "done": ("✓", "green"), "failed": ("✗", "red")}
_SHOWN_CHILDREN = 12


def duration(seconds: float) -> str:
    """Formats seconds, for example as `4.2 s` or `3:05 min`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{seconds:.1f} s"


class TerminalSink:
    """Shows the running steps as a live tree. A finished tree stays on the screen."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._spinner = Spinner("dots", style="cyan")
        self._live: Live | None = None
        self._roots: list[StepNode] = []

    def started(self, node: StepNode) -> None:
        if node.parent is not None:
            return
        self._roots.append(node)
        if self._live is None:
            self._live = Live(
                console=self._console,
                transient=True,
                refresh_per_second=8,
                get_renderable=lambda: self._table(self._roots, final=False),
            )
            self._live.start()

    def changed(self, node: StepNode) -> None:
        """Does nothing: the live display redraws itself several times per second."""

    def tick(self) -> None:
        """Does nothing: the live display redraws itself several times per second."""

    def ended(self, node: StepNode) -> None:
        if node.parent is not None:
            return
        self._roots.remove(node)
        if not self._roots:
            self.close()
        self._console.print(self._table([node], final=True))

    def print(self, text: str) -> None:
        self._console.print(text, markup=False)

    def close(self) -> None:
        """Removes the live display from the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, roots: list[StepNode], *, final: bool) -> Table:
        table = Table.grid(padding=(0, 1))
        for root in roots:
            self._add(table, root, 0, final=final)
        return table

    def _add(self, table: Table, node: StepNode, depth: int, *, final: bool) -> None:
        running = node.state == "running"
        symbol, colour = _GLYPHS[node.state]
        share = node.share()
        table.add_row(
            self._spinner if running and not final else Text(symbol, style=colour),
            Text("  " * depth + node.name, overflow="ellipsis"),
            Text(duration(node.seconds(time.monotonic())), style="dim"),
            ProgressBar(total=1.0, completed=share, width=20) if share is not None and running else "",
            Text(node.text, style="dim", overflow="ellipsis", no_wrap=True),
        )
        for child in node.children[-_SHOWN_CHILDREN:] if running else node.children:
            # A finished step shows its direct children, and below them only the children that are not done.
            if running or depth == 0 or child.state != "done":
                self._add(table, child, depth + 1, final=final)
