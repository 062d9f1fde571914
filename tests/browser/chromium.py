"""A headless Chromium, spoken to by the DevTools protocol over a pair of pipes: no port, no driver, no dependency."""

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
"""For an answer. A busy machine may need some of them to start."""
INSTALLED = ("chromium", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # which needs rights that a container has not; the pages are our own
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
"""The fonts of the machine or of Debian's package, found wherever they are. Chromium takes the one for formulas if it may."""
_TO, _FROM = 3, 4
"""Descriptors that Chromium reads commands from and writes answers to."""


class Browser:
    """A browser with one page, and what that page has asked for and complained about since it was opened."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._number, self._rest = 0, b""
        self._start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command, and gives its answer."""
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
        """Opens a file in a window of a width, for eyes that like it light or dark."""
        self.requests.clear()
        self.complaints.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)
        self.call("Page.navigate", url=file.as_uri())
        end = time.monotonic() + SECONDS
        while self.evaluate("document.readyState") != "complete" or self.evaluate("location.href") != file.as_uri():
            assert time.monotonic() < end, f"{file} was not loaded"

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        made = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(made["data"]))

    def printed(self, file: Path) -> None:
        """The page as a PDF."""
        file.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"]))

    def close(self) -> None:
        """Ends it and all of its processes."""
        for descriptor in (self._commands, self._answers):
            os.close(descriptor)
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._folder.cleanup()

    def _start(self) -> None:
        found = next(filter(None, map(shutil.which, INSTALLED)), None)
        program = found or debian.program("chromium-headless-shell")
        folder = Path(self._folder.name)
        fonts = folder / "fonts.conf"
        fonts.write_text(FONTS.format(root=debian.root_of("chromium-headless-shell"), cache=folder / "fonts"))
        environment = (os.environ if found else debian.environment()) | {"FONTCONFIG_FILE": str(fonts), "HOME": str(folder)}
        theirs, self._commands = os.pipe()
        self._answers, theirs_too = os.pipe()
        # Through numbers that are surely not 3 and 4 themselves, whatever was free: one must not close the other.
        high, high_too = (os.dup2(end, number) for end, number in ((theirs, 203), (theirs_too, 204)))
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        actions = [
            (os.POSIX_SPAWN_DUP2, high, _TO),
            (os.POSIX_SPAWN_DUP2, high_too, _FROM),
            (os.POSIX_SPAWN_DUP2, log, 2),
            (os.POSIX_SPAWN_DUP2, log, 1),
        ]
        command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
        self._pid = os.posix_spawn(program, command, environment, file_actions=actions, setpgroup=0)
        for descriptor in {theirs, theirs_too, high, high_too, log}:
            os.close(descriptor)

    def _next(self) -> dict[str, Any]:
        """The next message. Events are noted by the way."""
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium did not answer within {SECONDS:g} s: {self._log()}"
            more = os.read(self._answers, 1 << 16)
            assert more, f"Chromium ended: {self._log()}"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            self.complaints.append(json.dumps(told))

    def _log(self) -> str:
        return (Path(self._folder.name) / "log").read_text(errors="replace")[-1000:]
