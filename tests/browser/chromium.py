"""A headless Chromium, controlled with the DevTools protocol over two pipes: without a port, a driver or a dependency."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from tests import debian

SECONDS = 60.0
"""How long to wait for an answer. On a busy machine, the start may take several seconds."""
INSTALLED = ("chromium", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # the sandbox needs privileges that containers lack; all pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{root}/usr/share/fonts</dir><cachedir>{cache}</cachedir>
<selectfont><rejectfont><glob>*/DejaVuMath*</glob></rejectfont></selectfont>
<alias binding="same"><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias binding="same"><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias binding="same"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>"""
"""Configures the fonts of the machine and of the Debian package, and excludes the math font, which Chromium would choose."""
_TO, _FROM = 3, 4
"""File descriptors: Chromium reads commands from 3 and writes answers to 4."""


class Browser:
    """A browser with one page. Records the requests of the page and its console messages since it was opened."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.requests: list[str] = []
        self.console_messages: list[str] = []
        self._number, self._rest = 0, b""
        self._start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session := getattr(self, "_session", None):
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, file: Path, *, width: int, scheme: str = "light", medium: str = "screen") -> None:
        """Opens a file in a window with the given width, in the light or the dark colour scheme."""
        self.requests.clear()
        self.console_messages.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)
        self.call("Page.navigate", url=file.as_uri())
        deadline = time.monotonic() + SECONDS
        while self.evaluate("document.readyState") != "complete" or self.evaluate("location.href") != file.as_uri():
            assert time.monotonic() < deadline, f"{file} was not loaded"

    def evaluate(self, expression: str) -> Any:
        """Evaluates a JavaScript expression in the page and returns its value."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Writes the whole page to a PNG file."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def print_pdf(self, file: Path) -> None:
        """Writes the page to a PDF file."""
        file.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"]))

    def close(self) -> None:
        """Ends the browser and all its processes."""
        for descriptor in (self._commands, self._answers):
            os.close(descriptor)
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._folder.cleanup()

    def _start(self) -> None:
        installed = next(filter(None, map(shutil.which, INSTALLED)), None)
        program = installed or debian.program("chromium-headless-shell")
        folder = Path(self._folder.name)
        fonts = folder / "fonts.conf"
        fonts.write_text(FONTS.format(root=debian.root_of("chromium-headless-shell"), cache=folder / "fonts"))
        environment = (os.environ if installed else debian.environment()) | {"FONTCONFIG_FILE": str(fonts), "HOME": str(folder)}
        read_end, self._commands = os.pipe()
        self._answers, write_end = os.pipe()
        # Copies with high numbers: if an end of a pipe already were 3 or 4, the spawn would overwrite it with the other end.
        high_read, high_write = (os.dup2(end, number) for end, number in ((read_end, 203), (write_end, 204)))
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        actions = [
            (os.POSIX_SPAWN_DUP2, high_read, _TO),
            (os.POSIX_SPAWN_DUP2, high_write, _FROM),
            (os.POSIX_SPAWN_DUP2, log, 2),
            (os.POSIX_SPAWN_DUP2, log, 1),
        ]
        command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
        self._pid = os.posix_spawn(program, command, environment, file_actions=actions, setpgroup=0)
        for descriptor in {read_end, write_end, high_read, high_write, log}:
            os.close(descriptor)

    def _next(self) -> dict[str, Any]:
        """Returns the next message. Records it if it is an event."""
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium did not answer within {SECONDS:g} s: {self._log()}"
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, f"Chromium ended: {self._log()}"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        self._record(message.get("method"), message.get("params", {}))
        return message

    def _record(self, method: str | None, payload: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(payload["request"]["url"])
        elif method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            self.console_messages.append(json.dumps(payload))

    def _log(self) -> str:
        return (Path(self._folder.name) / "log").read_text(errors="replace")[-1000:]
