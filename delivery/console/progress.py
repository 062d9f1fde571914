"""What a command is doing and for how long: a live display on a terminal, plain lines elsewhere, and always a log file."""

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

_QUIET_SECONDS = 10.0
"""Plain lines repeat a step's state no more often than this."""
_SILENCE_SECONDS = 60.0
"""After this long without a line, a step that is still under way says so."""
_TICK_SECONDS = 2.0
_KEPT_LOGS = 20


class Sink(Protocol):
    """One place where steps are shown."""

    def started(self, node: StepNode) -> None: ...
    def changed(self, node: StepNode) -> None: ...
    def ended(self, node: StepNode) -> None: ...
    def print(self, text: str) -> None: ...

    def tick(self) -> None:
        """Called every few seconds, whether or not anything happens."""
        ...


class _StepHandle:
    """The `common.progress.Step` of one node."""

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
    """The `common.progress.Progress` of a command: keeps the tree of steps and tells each sink about it."""

    def __init__(self, sinks: list[Sink], clock: Callable[[], float] = time.monotonic) -> None:
        self._sinks, self._clock, self._lock = sinks, clock, threading.RLock()
        self.begun = clock()

    def elapsed(self) -> float:
        """Seconds since the command began."""
        return self._clock() - self.begun

    def notify(self, event: str, node: StepNode) -> None:
        with self._lock:
            for sink in self._sinks:
                getattr(sink, event)(node)

    def print(self, text: str) -> None:
        """One line that stays, between the steps."""
        with self._lock:
            for sink in self._sinks:
                sink.print(text)

    def tick(self) -> None:
        """Lets the sinks tell about steps that have been silent."""
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
    """One line for a step's start, its end, and now and then for what it does in between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, quiet: float = _QUIET_SECONDS) -> None:
        self._stream, self._clock, self._quiet, self._silence = stream, clock, quiet, max(quiet, _SILENCE_SECONDS)
        self._begun = clock()
        self._last: dict[int, tuple[float, str]] = {}
        self._running: list[StepNode] = []

    def _line(self, text: str) -> None:
        # A closed pipe (`modelstack up | head`) must not stop the work.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(f"[{self._clock() - self._begun:7.1f} s] {text}\n")
            self._stream.flush()

    def started(self, node: StepNode) -> None:
        self._running.append(node)
        self._last[id(node)] = (self._clock(), "")
        self._line(f"{node.path()} ...")

    def changed(self, node: StepNode) -> None:
        when, before = self._last.get(id(node), (0.0, ""))
        text = _state(node)
        if text and text != before and self._clock() - when >= self._quiet:
            self._tell(node, text)

    def tick(self) -> None:
        for node in self._running:
            when, _ = self._last.get(id(node), (0.0, ""))
            if self._clock() - when >= self._silence and not any(child.state == "running" for child in node.children):
                self._tell(node, _state(node) or "still at it")
            else:
                self.changed(node)

    def _tell(self, node: StepNode, text: str) -> None:
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
    """The progress of one command: on `stream` (standard error unless told) and in a log file under `.modelstack/logs/`."""
    out = stream if stream is not None else sys.stderr
    folder = logs if logs is not None else paths.LOGS
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.log"))[:-_KEPT_LOGS]:
        old.unlink(missing_ok=True)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{command}.log"
    with file.open("w", encoding="utf-8") as log:
        if not out.isatty():
            with _ticking(Reporter([PlainSink(out), PlainSink(log, quiet=1.0)])) as progress:
                yield progress
            return
        from delivery.console.terminal import TerminalSink

        terminal = TerminalSink(out)
        try:
            with _ticking(Reporter([terminal, PlainSink(log, quiet=1.0)])) as progress:
                yield progress
        finally:
            terminal.close()
