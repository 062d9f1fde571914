"""Shows the steps of a command and their duration: a live display on a terminal, plain lines elsewhere, always a log file."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from common import paths
from delivery.console.steps import StepNode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

_INTERVAL_SECONDS = 10.0
"""The shortest time between two plain lines about the same step."""
_SILENCE_SECONDS = 60.0
"""After this time without a line, a line says that the step still runs."""
_TICK_SECONDS = 2.0
"""How often the sinks check for steps without a recent line."""
_RETAINED_LOGS = 20


class Sink(Protocol):
    """An output for steps, for example a terminal or a log file."""

    def started(self, node: StepNode) -> None: ...
    def changed(self, node: StepNode) -> None: ...
    def ended(self, node: StepNode) -> None: ...
    def print(self, text: str) -> None: ...

    def tick(self) -> None:
        """Runs every few seconds, also if no step has changed."""
        ...


class _StepHandle:
    """Implements `common.progress.Step` for one node of the tree."""

    def __init__(self, node: StepNode, reporter: Reporter) -> None:
        self._node, self._reporter = node, reporter

    def advance(self, done: float, total: float | None = None) -> None:
        self._node.done = done
        self._node.total = total if total is not None else self._node.total
        self._reporter.notify("changed", self._node)

    def note(self, text: str) -> None:
        self._node.text = " ".join(text.split())
        self._reporter.notify("changed", self._node)


_current: ContextVar[StepNode | None] = ContextVar("modelstack_step", default=None)


class Reporter:
    """Implements `common.progress.Progress` for a command: holds the tree of steps and notifies each sink of changes."""

    def __init__(self, sinks: list[Sink], clock: Callable[[], float] = time.monotonic) -> None:
        self._sinks, self._clock, self._lock = sinks, clock, threading.RLock()
        self.started = clock()

    def elapsed(self) -> float:
        """Returns the seconds since the start of the command."""
        return self._clock() - self.started

    def notify(self, event: str, node: StepNode) -> None:
        """Calls the method of each sink that has the name of the event: `started`, `changed` or `ended`."""
        with self._lock:
            for sink in self._sinks:
                getattr(sink, event)(node)

    def print(self, text: str) -> None:
        """Prints text between the steps. It stays on the screen."""
        with self._lock:
            for sink in self._sinks:
                sink.print(text)

    def tick(self) -> None:
        """Lets each sink print a line for every step that has not printed one for some time."""
        with self._lock:
            for sink in self._sinks:
                sink.tick()

    @contextlib.contextmanager
    def step(self, name: str) -> Generator[_StepHandle]:
        node = StepNode(name, _current.get(), self._clock())
        if node.parent is not None:
            node.parent.children.append(node)
        token = _current.set(node)
        self.notify("started", node)
        try:
            yield _StepHandle(node, self)
            node.state = "done"
        except BaseException:
            node.state = "failed"
            raise
        finally:
            _current.reset(token)
            node.ended = self._clock()
            self.notify("ended", node)


class PlainSink:
    """Prints one line at the start of a step, one at its end, and some lines about its state in between."""

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, interval: float = _INTERVAL_SECONDS
    ) -> None:
        self._stream, self._clock = stream, clock
        self._interval, self._silence = interval, max(interval, _SILENCE_SECONDS)
        self._started = clock()
        self._last: dict[int, tuple[float, str]] = {}
        """By the node's `id`: the time and the state of its last line."""
        self._running: list[StepNode] = []

    def _line(self, text: str) -> None:
        # A closed pipe (`modelstack up | head`) must not stop the command.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(f"[{self._clock() - self._started:7.1f} s] {text}\n")
            self._stream.flush()

    def started(self, node: StepNode) -> None:
        self._running.append(node)
        self._last[id(node)] = (self._clock(), "")
        self._line(f"{node.path()} ...")

    def changed(self, node: StepNode) -> None:
        when, before = self._last.get(id(node), (0.0, ""))
        text = _state(node)
        if text and text != before and self._clock() - when >= self._interval:
            self._print_state(node, text)

    def tick(self) -> None:
        for node in self._running:
            when, _ = self._last.get(id(node), (0.0, ""))
            if self._clock() - when >= self._silence and not any(child.state == "running" for child in node.children):
                self._print_state(node, _state(node) or "still running")
            else:
                self.changed(node)

    def _print_state(self, node: StepNode, text: str) -> None:
        self._last[id(node)] = (self._clock(), text)
        self._line(f"{node.path()}: {text}")

    def ended(self, node: StepNode) -> None:
        self._running.remove(node)
        self._last.pop(id(node), None)
        note = f": {node.text}" if node.text else ""
        self._line(f"{node.path()} {node.state} ({node.seconds(self._clock()):.1f} s){note}")

    def print(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            self._line(line)


def _state(node: StepNode) -> str:
    share = node.share()
    return " ".join(part for part in (f"{share:.0%}" if share is not None else "", node.text) if part)


@contextlib.contextmanager
def _ticking(progress: Reporter) -> Generator[Reporter]:
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(_TICK_SECONDS):
            progress.tick()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def reporter(command: str, stream: TextIO | None = None, logs: Path | None = None) -> Generator[Reporter]:
    """Shows the progress of a command on `stream`, by default standard error, and in a log file in `.modelstack/logs/`."""
    out = stream if stream is not None else sys.stderr
    folder = logs if logs is not None else paths.LOGS
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.log"))[:-_RETAINED_LOGS]:
        old.unlink(missing_ok=True)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{command}.log"
    with file.open("w", encoding="utf-8") as log:
        if not out.isatty():
            with _ticking(Reporter([PlainSink(out), PlainSink(log, interval=1.0)])) as progress:
                yield progress
            return
        from delivery.console.terminal import TerminalSink

        terminal = TerminalSink(out)
        try:
            with _ticking(Reporter([terminal, PlainSink(log, interval=1.0)])) as progress:
                yield progress
        finally:
            terminal.close()
