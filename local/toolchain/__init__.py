"""The executables that no package registry has: found on the machine, downloaded, or built from Go modules.

Both are kept under the user's cache, in a folder named after what they were built from: another version or another source file
is another folder, and an interrupted build leaves none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common import paths
from local.toolchain import download
from local.toolchain.build import GoBuild

if TYPE_CHECKING:
    from common.progress import Progress

HERE: Final = Path(__file__).parent
MINIMUM: Final = (3, 181, 0)
"""The oldest engine that runs inline programs for refresh and destroy."""
_VERSION: Final = re.search(r"github.com/pulumi/pulumi/pkg/v3 v(\S+)", (HERE / "pulumi" / "go.mod").read_text())
assert _VERSION, "go.mod pins the engine"
PULUMI_VERSION: Final = _VERSION[1]
"""The version that is downloaded or built."""
_KUBERNETES: Final = re.search(r"k8s.io/kubernetes v(\S+)", (HERE / "kubernetes" / "go.mod").read_text())
assert _KUBERNETES, "go.mod pins Kubernetes"
KUBERNETES_VERSION: Final = _KUBERNETES[1]
"""The version that is built."""


def pulumi(progress: Progress) -> Path:
    """The Pulumi CLI: one on PATH that is new enough, else the official release, else built from Go modules.

    Raises:
        UserError: it has to be built and cannot be.
    """
    found = on_path()
    if found:
        return found
    build = _pulumi_build()
    if build.result.is_file():
        return build.result
    return download.release(PULUMI_VERSION, progress) or build.make(progress)


def hyperkube(progress: Progress) -> Path:
    """All components of Kubernetes in one executable: `hyperkube COMPONENT FLAGS...`.

    Raises:
        UserError: it has to be built and cannot be.
    """
    major, minor, _ = KUBERNETES_VERSION.split(".")
    version = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    # What the API server says that it is: without, v0.0.0, and clients that look at the version refuse it.
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in version.items())
    return GoBuild("hyperkube", HERE / "kubernetes", ".", ldflags=f"-s -w {flags}").make(progress)


def on_path() -> Path | None:
    """A Pulumi on PATH, other than our own link, that is at least `MINIMUM`."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder or ".", "pulumi")
        if candidate.parent == paths.BIN or shutil.which(candidate) is None:
            continue
        version = version_of(candidate)
        if version is not None and version >= MINIMUM:
            return candidate.absolute()
        return None  # what the user would get by typing `pulumi` decides; a later one on PATH is hidden by it
    return None


def version_of(executable: Path) -> tuple[int, ...] | None:
    """The version an executable tells, None where it tells none."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        told = subprocess.run([executable, "version"], capture_output=True, text=True, timeout=30, env=environment, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", told.stdout.strip())
    return tuple(int(part) for part in found.groups()) if found else None


def _pulumi_build() -> GoBuild:
    version = f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI_VERSION}"
    # Without a version the Automation API refuses the engine.
    return GoBuild("pulumi", HERE / "pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", ldflags=f"-s -w -X {version}")
