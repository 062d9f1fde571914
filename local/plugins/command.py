"""Stand-in for the `command` provider: `command.local.Command` and `command.local.run`."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, cast

from local.plugins import bare

if __name__ == "__main__":
    bare.without_sdk()

from local.plugins.protocol.messages import Check, Checked, Create, Created, Delete, Diff, Difference, Failed, Update
from local.plugins.protocol.provider import Provider, difference
from local.plugins.protocol.serve import serve
from local.plugins.protocol.values import UNKNOWN, Secret, has_secret, has_unknown, reveal

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.plugins.protocol.values import Object

SHELL: Final = ["/bin/sh", "-c"]
OUTPUTS: Final = ("stdout", "stderr")
OUTPUT_DEPENDENCIES: Final = ("create", "update", "stdin", "environment", "dir", "interpreter")
"""Inputs that the output of a command depends on. If one changes, the output is unknown in a preview. If one is secret, the
output is secret."""
UNSUPPORTED: Final = ("assetPaths", "archivePaths")
LOGGED: Final = {None: OUTPUTS, "stdoutAndStderr": OUTPUTS, "stdout": ("stdout",), "stderr": ("stderr",), "none": ()}
KILL_AFTER_SECONDS: Final = 3.0
DRAIN_SECONDS: Final = 1.0
"""How long the output of a finished command is still read: a daemon that the command started may hold the pipe open forever."""
TAIL_LINES: Final = 30


class CommandProvider(Provider):
    """Runs scripts on this machine when a resource is created, updated or deleted."""

    name, version = "command", "1.2.1"

    def check(self, request: Check) -> Checked:
        failures = [
            (key, "not supported by this stand-in for the command plugin") for key in UNSUPPORTED if request.inputs.get(key)
        ]
        if request.type != "command:local:Command":
            failures.append(("", f"{request.type} is not supported by this stand-in for the command plugin"))
        mode = reveal(request.inputs.get("logging"))
        if mode is not UNKNOWN and mode not in LOGGED:
            failures.append(("logging", f"{mode!r} is not one of {', '.join(str(key) for key in LOGGED if key)}"))
        return Checked(request.inputs, failures)

    def diff(self, request: Diff) -> Difference:
        return difference(request, replace=("triggers",))

    def create(self, request: Create) -> Created:
        if request.preview:
            return Created("", {**request.inputs, "stdout": UNKNOWN, "stderr": UNKNOWN})
        return Created(f"{request.name}{secrets.token_hex(4)}", self._state(request.inputs, "create", {}, request.urn))

    def update(self, request: Update) -> Object:
        printed = {key: request.state.get(key, "") for key in OUTPUTS}
        if request.preview:
            same = all(request.old_inputs.get(key) == request.inputs.get(key) for key in OUTPUT_DEPENDENCIES)
            return {
                **request.inputs,
                **(printed if same and not has_unknown(request.inputs) else dict.fromkeys(OUTPUTS, UNKNOWN)),
            }
        script = "update" if request.inputs.get("update") is not None else "create"
        return self._state(request.inputs, script, printed, request.urn)

    def delete(self, request: Delete) -> None:
        printed = {key: request.state.get(key, "") for key in OUTPUTS}
        # The state contains the inputs, too. Engines before 3.100 send only the state.
        self._state(request.inputs or request.state, "delete", printed, request.urn)

    def invoke(self, token: str, inputs: Object, *, preview: bool) -> Object:
        if token != "command:local:run":  # noqa: S105 - the name of a function
            return super().invoke(token, inputs, preview=preview)
        return self._state(inputs, "command", {}, "")

    def _state(self, inputs: Object, script: str, previous: Object, urn: str) -> Object:
        """Runs one of the scripts and returns the new state. `previous` is the output of the last run."""
        plain = reveal(inputs)
        command = plain.get(script)
        if command is None:
            return {**inputs, **{key: previous.get(key, "") for key in OUTPUTS}}
        added = cast("Object", plain.get("environment") or {})
        environment = {**os.environ, **{key: str(value) for key, value in added.items()}}
        if plain.get("addPreviousOutputInEnv") is not False:
            environment |= {f"PULUMI_COMMAND_{key.upper()}": text for key, text in reveal(previous).items() if text}
        logged = LOGGED[plain.get("logging")]

        def log(stream: str, line: str) -> None:
            if urn and stream in logged:
                self.log(line, urn)

        argv = [*(plain.get("interpreter") or SHELL), command]
        printed = Script(argv, environment, plain.get("dir"), plain.get("stdin")).run(self.cancelled, log)
        secret = any(has_secret(inputs.get(key)) for key in (*OUTPUT_DEPENDENCIES, "command"))
        return {**inputs, **{key: Secret(text) if secret else text for key, text in printed.items()}}


@dataclass(frozen=True)
class Script:
    """A command to run in `folder` (in the folder of this process if None) with `stdin` as its input."""

    argv: list[str]
    environment: dict[str, str]
    folder: str | None
    stdin: str | None

    def run(self, cancelled: threading.Event, log: Callable[[str, str], None]) -> dict[str, str]:
        """Runs the command to its end and returns its output by stream. Calls `log` with the stream and text of each line.

        If `cancelled` is set, the command's process group is terminated.

        Raises:
            Failed: the command cannot be started, fails or is cancelled. If it fails, the message has the end of its output.
        """
        child = self._start()
        printed: dict[str, list[str]] = {key: [] for key in OUTPUTS}
        combined: list[str] = []

        def read(stream: str, pipe: IO[bytes]) -> None:
            for raw in pipe:
                line = raw.decode(errors="replace")
                printed[stream].append(line)
                combined.append(line)
                log(stream, line.rstrip("\n"))

        readers = [threading.Thread(target=read, args=(key, getattr(child, key)), daemon=True) for key in OUTPUTS]
        if self.stdin is not None:
            readers.append(threading.Thread(target=_write_input, args=(child.stdin, self.stdin), daemon=True))
        for reader in readers:
            reader.start()
        stopped = _wait(child, cancelled)
        deadline = time.monotonic() + DRAIN_SECONDS
        for reader in readers:
            reader.join(max(0.0, deadline - time.monotonic()))
        if stopped:
            raise Failed(f"cancelled while running: {self.argv[-1]}")
        if child.returncode:
            tail = "".join(combined[-TAIL_LINES:]).rstrip()
            status = f"exit status {child.returncode}" if child.returncode > 0 else signal.Signals(-child.returncode).name
            raise Failed(f"{status}: running {self.argv[-1]!r}:\n{tail}")
        return {key: "".join(lines).removesuffix("\n") for key, lines in printed.items()}

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.argv,
                env=self.environment,
                cwd=self.folder or None,
                stdin=subprocess.PIPE if self.stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Failed(f"cannot run {self.argv[0]} in {self.folder or '.'}: {error.strerror}: {error.filename}") from error


def _wait(child: subprocess.Popen[bytes], cancelled: threading.Event) -> bool:
    """Waits for the end of a command. Terminates its process group if cancelled, and returns whether that happened."""
    kill_at = 0.0
    while True:
        try:
            child.wait(0.1)
        except subprocess.TimeoutExpired:
            if not cancelled.is_set():
                continue
            if not kill_at:
                kill_at = time.monotonic() + KILL_AFTER_SECONDS
                os.killpg(child.pid, signal.SIGTERM)
            elif time.monotonic() > kill_at:
                os.killpg(child.pid, signal.SIGKILL)
        else:
            return kill_at > 0


def _write_input(pipe: Any, text: str) -> None:  # noqa: ANN401 - IO[bytes], which Popen types as optional
    try:
        pipe.write(text.encode())
        pipe.close()
    except BrokenPipeError:
        return  # the command does not read its input


if __name__ == "__main__":
    serve(CommandProvider())
