"""The settings of each kind of shared volumes."""

from __future__ import annotations

from typing import Literal

from infra.sections.section import Section


class SharesOfStorageClass(Section):
    """Volumes that several pods mount at once come from a storage class of the cluster: `storageClasses.shares`."""

    kind: Literal["storage-class"] = "storage-class"


Shares = SharesOfStorageClass
