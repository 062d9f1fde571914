"""The tools that the engine needs on this machine. They are found, downloaded or built once, and then cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import paths

if TYPE_CHECKING:
    from common.progress import Progress


def ensure(progress: Progress, *, embedded: bool, images: bool) -> None:
    """Installs the engine, its plugins and, if requested, the parts of an embedded cluster.

    Args:
        progress: shows the builds and downloads.
        embedded: whether to install Kubernetes as well.
        images: whether to install the userland and the base image as well.
    """
    from local import toolchain, userland
    from local.plugins import install

    pulumi = toolchain.pulumi(progress)
    install.install(progress, pulumi)
    toolchain.container_registry(progress)
    if embedded:
        toolchain.hyperkube(progress)
    if images:
        userland.ensure(progress)
        userland.base_image(progress)


def missing_builds() -> dict[str, str]:
    """Returns the programs that are needed to build tools missing in the cache, each with the command that installs it."""
    cached = {path.name.rpartition("-")[0] for path in paths.cache_home().glob("*-*")}
    missing: dict[str, str] = {}
    if "userland" not in cached:
        missing["debootstrap"] = "apt-get install -y debootstrap"
    if not {"pulumi", "hyperkube", "container-registry"} <= cached:
        missing["go"] = "make setup"
    return missing
