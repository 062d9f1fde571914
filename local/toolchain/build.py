"""Executables from Go modules whose versions and checksums are committed, built once into the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common import paths
from common.errors import UserError
from local.turns import one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.progress import Progress

_TAIL_LINES: Final = 25
_FALLBACKS: Final = (Path("/usr/local/go/bin/go"), Path("/usr/lib/go/bin/go"))
_HOW_TO_GET_GO: Final = (
    "install Go {version} or newer: the archive from https://go.dev/dl into /usr/local/go, or the package golang-go of Debian "
    "and Ubuntu, which from 1.21 on fetches the version it needs by itself unless GOTOOLCHAIN=local is set"
)


@dataclass(frozen=True)
class GoBuild:
    """One executable.

    Args:
        name: of the executable and in the cache.
        module: folder with go.mod, go.sum and the Go files.
        package: what to build, as `go build` takes it.
        ldflags: for the linker.
    """

    name: str
    module: Path
    package: str
    ldflags: str

    @property
    def result(self) -> Path:
        """Where the executable is, once it is built."""
        sources = sorted([*self.module.rglob("*.go"), self.module / "go.mod", self.module / "go.sum"])
        return paths.cache_entry(self.name, *sources, " ".join(self._arguments("."))) / self.name

    def make(self, progress: Progress) -> Path:
        """The executable, built now if the cache has none. Safe to be killed, and to run twice at a time.

        Raises:
            UserError: Go is missing or too old, or a command failed: which, the end of its output, where all of it is.
        """
        result = self.result
        if result.is_file():
            return result
        cache = result.parent.parent
        with one_at_a_time(cache / f"{self.name}.lock", f"{self.name}: wait for another build", progress):
            if result.is_file():  # another process has made it meanwhile
                return result
            for abandoned in cache.glob(f"{self.name}-*.part-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            part = Path(tempfile.mkdtemp(prefix=f"{result.parent.name}.part-", dir=cache))
            try:
                self._build(part / self.name, progress)
                shutil.rmtree(result.parent, ignore_errors=True)
                part.rename(result.parent)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        return result

    def _arguments(self, output: str) -> list[str]:
        return ["build", "-v", "-mod=readonly", "-trimpath", "-ldflags", self.ldflags, "-o", output, self.package]

    def _build(self, output: Path, progress: Progress) -> None:
        run = _Runner(self._go(), self.module, paths.LOGS / f"build-{self.name}.log")
        with progress.step(f"{self.name}: modules") as step:
            fetched = 0

            def fetching(line: str) -> None:
                nonlocal fetched
                if line.startswith("go: downloading "):
                    fetched += 1
                    step.advance(fetched)
                    step.note(line.removeprefix("go: downloading ").strip())

            # `Stale`: what this machine has not compiled before; the other packages take no time.
            stale = run(["list", "-mod=readonly", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", self.package], fetching)
        total = max(1, sum(1 for line in stale if line.strip() and not line.startswith("go: ")))
        with progress.step(f"{self.name}: build") as step:
            built = 0
            step.advance(0, total)

            def building(line: str) -> None:
                nonlocal built
                if re.fullmatch(r"[\w./~-]+", line.strip()):
                    built += 1
                    step.advance(min(built, total), total)
                    step.note(line.strip().rsplit("/", 2)[-1])

            run(self._arguments(str(output)), building)

    def _go(self) -> Path:
        """A Go that can build the module: its own version is enough, or it fetches one that is."""
        wanted = re.search(r"^go (\S+)", (self.module / "go.mod").read_text(), re.MULTILINE)
        fix = _HOW_TO_GET_GO.format(version=wanted[1] if wanted else "")
        found = shutil.which("go")
        go = Path(found) if found else next((path for path in _FALLBACKS if path.is_file()), None)
        if go is None:
            raise UserError(f"{self.name} has to be built, and Go is not installed.", where="PATH", fix=fix)
        # In the module's folder Go switches to the version that go.mod asks for, or says why it cannot.
        told = subprocess.run([go, "version"], cwd=self.module, capture_output=True, text=True, check=False)
        if told.returncode:
            raise UserError(
                f"{self.name} has to be built, and the installed Go cannot do that.",
                where=str(go),
                found=told.stderr.strip(),
                fix=fix,
            )
        return go


class _Runner:
    """Runs `go` and keeps its output in a file."""

    def __init__(self, go: Path, folder: Path, log: Path) -> None:
        self._go, self._folder, self._log = go, folder, log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def __call__(self, arguments: Sequence[str], line: Callable[[str], None]) -> list[str]:
        """Returns the lines of output, each of which `line` is told as it comes."""
        lines: list[str] = []
        with (
            self._log.open("a", buffering=1) as log,
            subprocess.Popen(
                # `go` goes when this process goes, by kill -9 too.
                ["setpriv", "--pdeathsig", "TERM", self._go, *arguments],
                cwd=self._folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for text in process.stdout:
                    log.write(text)
                    lines.append(text.rstrip("\n"))
                    line(text)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise UserError(
                f"`go {' '.join(arguments)}` failed with status {process.returncode}.",
                where=f"{self._folder}, all of its output is in {self._log}",
                found="\n" + "\n".join(f"    {row}" for row in lines[-_TAIL_LINES:]),
                fix="mend what the output names (network, disk space), then run again; packages compiled so far are kept",
            )
        return lines


def _environment() -> dict[str, str]:
    """Go's environment without what would make another executable of the same sources."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GO111MODULE")
    }
    # Without cgo the executables are static: they run in the userland, whose C library is older than the host's may be.
    return {**kept, "CGO_ENABLED": "0", "GOWORK": "off"}
