"""The sections of a stack file that say what the environment stands on."""

from __future__ import annotations

from infra.foundation.settings.artifacts import Artifacts, ArtifactsOnVolume
from infra.foundation.settings.clusters import Cluster
from infra.foundation.settings.database import Database, DatabaseInCluster
from infra.foundation.settings.entrance import Entrance, EntranceAtNodePorts
from infra.foundation.settings.images import Images, StorageClasses
from infra.foundation.settings.shares import Shares, SharesOfStorageClass
from infra.sections.section import Section


class FoundationSettings(Section):
    """The settings of the foundation. Each part has a kind; all but the cluster have one by default."""

    cluster: Cluster
    images: Images
    storage_classes: StorageClasses = StorageClasses()
    database: Database = DatabaseInCluster()
    artifacts: Artifacts = ArtifactsOnVolume()
    shares: Shares = SharesOfStorageClass()
    entrance: Entrance = EntranceAtNodePorts()
    """The way in which clients outside the cluster reach the tracking server and the endpoints."""
