"""Builds executables from Go modules into the user's cache. The versions and checksums of the modules are committed."""

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
    "and Ubuntu, which from 1.21 on downloads the version that it needs, unless GOTOOLCHAIN=local is set"
)


@dataclass(frozen=True)
class GoBuild:
    """The build of one executable.

    Args:
        name: the name of the executable, and of its folder in the cache.
        module: the folder with go.mod, go.sum and the Go files.
        package: the package argument of `go build`.
        ldflags: the flags for the linker.
    """

    name: str
    module: Path
    package: str
    ldflags: str

    @property
    def result(self) -> Path:
        """The path of the executable in the cache. It exists after the build."""
        sources = sorted([*self.module.rglob("*.go"), self.module / "go.mod", self.module / "go.sum"])
        return paths.cache_entry(self.name, *sources, " ".join(self._arguments("."))) / self.name

    def make(self, progress: Progress) -> Path:
        """Returns the executable, and builds it first if the cache does not have it.

        It can be killed at any time, and can run in several processes at the same time.

        Raises:
            UserError: Go is missing or too old, or a command failed. For a failed command, the error names the command and the
                file with its output, and shows the end of the output.
        """
        result = self.result
        if result.is_file():
            return result
        cache = result.parent.parent
        with one_at_a_time(cache / f"{self.name}.lock", f"{self.name}: wait for another build", progress):
            if result.is_file():  # another process has built it in the meantime
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
            downloads = 0

            def count_download(line: str) -> None:
                nonlocal downloads
                if line.startswith("go: downloading "):
                    downloads += 1
                    step.advance(downloads)
                    step.note(line.removeprefix("go: downloading ").strip())

            # Only stale packages are compiled. The others are in Go's build cache and take no time.
            list_stale = ["list", "-mod=readonly", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", self.package]
            stale = run(list_stale, count_download)
        total = max(1, sum(1 for line in stale if line.strip() and not line.startswith("go: ")))
        with progress.step(f"{self.name}: build") as step:
            built = 0
            step.advance(0, total)

            def count_package(line: str) -> None:
                nonlocal built
                if re.fullmatch(r"[\w./~-]+", line.strip()):
                    built += 1
                    step.advance(min(built, total), total)
                    step.note(line.strip().rsplit("/", 2)[-1])

            run(self._arguments(str(output)), count_package)

    def _go(self) -> Path:
        """Returns a `go` command that can build the module: it is new enough itself, or it downloads a newer Go.

        Raises:
            UserError: Go is not installed, or it is too old and cannot download a newer one.
        """
        required = re.search(r"^go (\S+)", (self.module / "go.mod").read_text(), re.MULTILINE)
        fix = _HOW_TO_GET_GO.format(version=required[1] if required else "")
        found = shutil.which("go")
        go = Path(found) if found else next((path for path in _FALLBACKS if path.is_file()), None)
        if go is None:
            raise UserError(f"{self.name} has to be built with Go, and Go is not installed.", where="PATH", fix=fix)
        # In the module's folder, Go switches to the version that go.mod requires, or prints why it cannot.
        result = subprocess.run([go, "version"], cwd=self.module, capture_output=True, text=True, check=False)
        if result.returncode:
            raise UserError(
                f"{self.name} has to be built with Go, and the installed Go cannot build it.",
                where=str(go),
                found=result.stderr.strip(),
                fix=fix,
            )
        return go


class _Runner:
    """Runs `go` and writes its output to a file."""

    def __init__(self, go: Path, folder: Path, log: Path) -> None:
        self._go, self._folder, self._log = go, folder, log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def __call__(self, arguments: Sequence[str], on_line: Callable[[str], None]) -> list[str]:
        """Calls `on_line` with each line of output as soon as it is printed, and returns all lines.

        Raises:
            UserError: the command failed.
        """
        lines: list[str] = []
        with (
            self._log.open("a", buffering=1) as log,
            subprocess.Popen(
                # `go` ends when this process ends, even by `kill -9`.
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
                    on_line(text)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise UserError(
                f"`go {' '.join(arguments)}` failed with status {process.returncode}.",
                where=f"{self._folder}; the complete output is in {self._log}",
                found="\n" + "\n".join(f"    {row}" for row in lines[-_TAIL_LINES:]),
                fix="fix what the output names (network, disk space), then run again; packages compiled so far are reused",
            )
        return lines


def _environment() -> dict[str, str]:
    """Returns the environment for `go`, without the variables that would change the executable built from the same sources."""
    retained = {
        name: value for name, value in os.environ.items() if name not in ("GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GO111MODULE")
    }
    # Without cgo the executables are statically linked: they also run in the userland, whose C library may be older than the
    # host's.
    return {**retained, "CGO_ENABLED": "0", "GOWORK": "off"}
