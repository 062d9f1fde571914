"""What must be on this machine before the engine can run: found, downloaded or built once, then kept in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import paths

if TYPE_CHECKING:
    from common.progress import Progress


def ensure(progress: Progress, *, embedded: bool, images: bool) -> None:
    """Makes the engine, its plugins and what an embedded cluster consists of available.

    Args:
        progress: shows the builds and downloads.
        embedded: whether Kubernetes is needed as well.
        images: whether the userland and the base image are, too.
    """
    from local import toolchain, userland
    from local.plugins import install

    pulumi = toolchain.pulumi(progress)
    install.install(progress, pulumi)
    if embedded:
        toolchain.hyperkube(progress)
    if images:
        userland.ensure(progress)
        userland.base_image(progress)


def missing_builds() -> dict[str, str]:
    """Programs that are needed to build what is not cached, with the command that installs each."""
    cached = {path.name.rpartition("-")[0] for path in paths.cache_home().glob("*-*")}
    missing: dict[str, str] = {}
    if "userland" not in cached:
        missing["debootstrap"] = "apt-get install -y debootstrap"
    if not {"pulumi", "hyperkube"} <= cached:
        missing["go"] = "make setup"
    return missing
