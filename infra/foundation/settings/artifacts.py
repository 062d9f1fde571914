"""The settings of each kind of artifact store."""

from __future__ import annotations

from typing import Literal

from infra.sections.section import Section


class ArtifactsOnVolume(Section):
    """MLflow stores artifacts on a volume in the cluster. Its class is `storageClasses.shares`, its size `tracking.storage`."""

    kind: Literal["volume"] = "volume"


Artifacts = ArtifactsOnVolume
