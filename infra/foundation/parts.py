"""Puts a foundation together from a cluster, its container registry, and the kinds of the other parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi import ResourceOptions

from components.passwords import GeneratedPasswords
from infra.foundation.artifacts import ArtifactsOnVolume
from infra.foundation.database import PostgresInCluster
from infra.foundation.entrance import EntranceAtNodePorts
from infra.foundation.identity import NoIdentity
from infra.foundation.result import Foundation
from infra.foundation.shares import SharesOfStorageClass

if TYPE_CHECKING:
    from components.container_registry import PushTarget
    from components.passwords import Passwords
    from infra.foundation.result import Artifacts, Cluster, Database, Entrance, SharedVolumes
    from infra.foundation.settings import artifacts, database, entrance, shares
    from infra.foundation.settings.foundation import FoundationSettings


def on(cluster: Cluster, container_registry: PushTarget, settings: FoundationSettings) -> Foundation:
    """Returns the foundation on a cluster. It declares nothing: the parts declare what the platform asks them for."""
    passwords = GeneratedPasswords()
    return Foundation(
        cluster=cluster,
        container_registry=container_registry,
        database=_database(settings.database, cluster, container_registry, settings, passwords),
        artifacts=_artifacts(settings.artifacts, cluster, settings),
        shares=_shares(settings.shares, cluster, settings),
        entrance=_entrance(settings.entrance, settings),
        identity=NoIdentity(),
        secrets=passwords,
    )


# Each of these functions takes the only kind that there is. A second kind in the settings is a type error here until the
# function has a branch for it.


def _database(
    kind: database.DatabaseInCluster,
    cluster: Cluster,
    container_registry: PushTarget,
    settings: FoundationSettings,
    passwords: Passwords,
) -> Database:
    return PostgresInCluster(
        settings=kind,
        container_registry=container_registry,
        base_image=settings.images.base,
        storage_class=settings.storage_classes.volumes,
        passwords=passwords,
        on_cluster=_options(cluster),
    )


def _artifacts(_: artifacts.ArtifactsOnVolume, cluster: Cluster, settings: FoundationSettings) -> Artifacts:
    return ArtifactsOnVolume(storage_class=settings.storage_classes.shares, on_cluster=_options(cluster))


def _shares(_: shares.SharesOfStorageClass, cluster: Cluster, settings: FoundationSettings) -> SharedVolumes:
    return SharesOfStorageClass(storage_class=settings.storage_classes.shares, on_cluster=_options(cluster))


def _entrance(_: entrance.EntranceAtNodePorts, settings: FoundationSettings) -> Entrance:
    return EntranceAtNodePorts(host=settings.cluster.host)


def _options(cluster: Cluster) -> ResourceOptions:
    return ResourceOptions(providers=[cluster.provider])
