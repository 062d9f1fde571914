"""Provides the executables that no package registry has: Pulumi, Kubernetes, and the client of container registries.

They are found on the machine, downloaded, or built from Go modules. Downloads and builds are stored in the user's cache. The
folder of a download is named after the version, the folder of a build after a hash of its sources, so another version or
another source file has another folder. An interrupted download or build leaves no such folder.
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
"""The oldest Pulumi version that can run inline programs for `refresh` and `destroy`."""
_VERSION: Final = re.search(r"github.com/pulumi/pulumi/pkg/v3 v(\S+)", (HERE / "pulumi" / "go.mod").read_text())
assert _VERSION, "go.mod pins the engine"
PULUMI_VERSION: Final = _VERSION[1]
"""The version of Pulumi that is downloaded or built."""
_KUBERNETES: Final = re.search(r"k8s.io/kubernetes v(\S+)", (HERE / "kubernetes" / "go.mod").read_text())
assert _KUBERNETES, "go.mod pins Kubernetes"
KUBERNETES_VERSION: Final = _KUBERNETES[1]
"""The version of Kubernetes that is built."""


def pulumi(progress: Progress) -> Path:
    """Returns the Pulumi CLI: one on PATH that is new enough, else the official release, else a build from Go modules.

    Raises:
        UserError: the CLI has to be built, and the build fails.
    """
    found = on_path()
    if found:
        return found
    build = _pulumi_build()
    if build.result.is_file():
        return build.result
    return download.release(PULUMI_VERSION, progress) or build.make(progress)


def hyperkube(progress: Progress) -> Path:
    """Returns the executable with all components of Kubernetes: `hyperkube COMPONENT FLAGS...`.

    Raises:
        UserError: the executable has to be built, and the build fails.
    """
    major, minor, _ = KUBERNETES_VERSION.split(".")
    version = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    # The version that the API server reports. Without these flags it would be v0.0.0, which some clients refuse.
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in version.items())
    return GoBuild("hyperkube", HERE / "kubernetes", ".", ldflags=f"-s -w {flags}").make(progress)


def container_registry(progress: Progress) -> Path:
    """Returns the executable that looks up and copies images of container registries, and links it into `paths.BIN`.

    Raises:
        UserError: the executable has to be built, and the build fails.
    """
    executable = GoBuild("container-registry", HERE / "registry", ".", ldflags="-s -w").make(progress)
    link(executable)
    return executable


def link(executable: Path) -> None:
    """Creates a link to an executable in `paths.BIN`, so that it still finds the files beside its real place."""
    target = paths.BIN / executable.name
    if target.parent == executable.parent or (target.is_symlink() and target.readlink() == executable):
        return
    paths.BIN.mkdir(parents=True, exist_ok=True)
    temporary = paths.BIN / f".{executable.name}-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(executable)
    temporary.replace(target)


def on_path() -> Path | None:
    """Returns the first Pulumi on PATH, apart from the checkout's own link, if its version is at least `MINIMUM`."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder or ".", "pulumi")
        if candidate.parent == paths.BIN or shutil.which(candidate) is None:
            continue
        version = version_of(candidate)
        if version is not None and version >= MINIMUM:
            return candidate.absolute()
        return None  # only the first counts: it is the one that the command `pulumi` starts in the user's shell
    return None


def version_of(executable: Path) -> tuple[int, ...] | None:
    """Returns the version that an executable prints, or None if it prints none or fails."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        result = subprocess.run(
            [executable, "version"], capture_output=True, text=True, timeout=30, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", result.stdout.strip())
    return tuple(int(part) for part in found.groups()) if found else None


def _pulumi_build() -> GoBuild:
    version = f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI_VERSION}"
    # The Automation API refuses an engine without a version.
    return GoBuild("pulumi", HERE / "pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", ldflags=f"-s -w -X {version}")
