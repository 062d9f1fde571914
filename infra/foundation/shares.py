"""Each kind of shared volumes. Today there is one: volumes of a storage class that supports ReadWriteMany."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.file_share import FileShare, FileShareArgs

if TYPE_CHECKING:
    from pulumi import Input, Output, ResourceOptions


@dataclass(frozen=True, kw_only=True)
class SharesOfStorageClass:
    """Volume claims of one storage class. None: the cluster's default class."""

    storage_class: str | None
    on_cluster: ResourceOptions

    def claim(self, name: str, *, namespace: Input[str], size: str) -> Output[str]:
        """Declares a claim and returns its name."""
        args = FileShareArgs(namespace=namespace, size=size, storage_class=self.storage_class)
        return FileShare(name, args, self.on_cluster).claim
