"""A `pulumi` executable for tests: a script that records how it is called, and answers as the test says."""

from __future__ import annotations

import shlex
from pathlib import Path  # noqa: TC003 - dataclasses look at it

from common import paths


class FakeEngine:
    """The engine of a checkout in a temporary folder."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.folder, self.executable = folder, folder / ".modelstack" / "bin" / "pulumi"
        for name in ("STATE", "BACKEND", "PASSPHRASE", "PULUMI_HOME", "BIN", "KUBECONFIG"):
            monkeypatch.setattr(paths, name, folder / getattr(paths, name).relative_to(paths.CHECKOUT))
        monkeypatch.setattr(paths, "CHECKOUT", folder)
        (folder / "Pulumi.yaml").write_text("name: modelstack\nruntime: python\n")

    def answers(self, *answers: tuple[str, str, str, int]) -> None:
        """Installs the engine. For each answer: words in the command line, standard output, standard error, exit code."""
        cases = []
        for words, out, err, code in [("version", "v3.259.0\n", "", 0), *answers, ("", "", "", 0)]:
            cases.append(
                f"*{shlex.quote(words)}*) printf %s {shlex.quote(out)}; printf %s {shlex.quote(err)} >&2; exit {code};;"
            )
        calls, environ = (shlex.quote(str(self.folder / name)) for name in ("calls", "environ"))
        self.script(f'echo "$*" >> {calls}\nenv > {environ}\ncase "$*" in\n' + "\n".join(cases) + "\nesac\n")

    def script(self, text: str) -> None:
        """Installs a shell script as the engine."""
        self.executable.parent.mkdir(parents=True, exist_ok=True)
        self.executable.write_text(f"#!/bin/sh\n{text}")
        self.executable.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The command lines with which the engine was called, without the questions about its version."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if not line.startswith("version")]

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the last call."""
        lines = (self.folder / "environ").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
