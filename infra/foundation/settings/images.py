"""The settings that all kinds of cluster share: where images are, and which storage classes there are."""

from __future__ import annotations

from infra.sections.section import Section
from infra.sections.types import ImageReference, RegistryAddress, StorageClass


class Images(Section):
    """The container registry and the base image."""

    registry: RegistryAddress
    """The address of the container registry. All images are pushed to it, and all pods pull images from it by digest."""
    base: ImageReference = "debian:bookworm-slim"
    """The base image of all images. It must be a Debian bookworm."""


class StorageClasses(Section):
    """The storage classes of volumes. Without a class, a volume has the cluster's default class."""

    volumes: StorageClass | None = None
    """The class of volumes that one pod mounts at a time (ReadWriteOnce)."""
    shares: StorageClass | None = None
    """The class of volumes that several pods mount at once (ReadWriteMany)."""
