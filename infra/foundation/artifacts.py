"""Each kind of artifact store. Today there is one: a volume that the tracking server mounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.file_share import FileShare, FileShareArgs
from components.tracking import ArtifactStore

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

_MOUNTED_AT: Final = "/artifacts"


@dataclass(frozen=True, kw_only=True)
class ArtifactsOnVolume:
    """A ReadWriteMany volume in the namespace of the tracking server."""

    storage_class: str | None
    on_cluster: ResourceOptions

    def store(self, name: str, *, namespace: Input[str], size: str, protect: bool) -> ArtifactStore:
        """Declares the volume. See `infra.foundation.result.Artifacts.store`."""
        args = FileShareArgs(namespace=namespace, size=size, storage_class=self.storage_class, protect=protect)
        return ArtifactStore(destination=_MOUNTED_AT, claim=FileShare(name, args, self.on_cluster).claim)
