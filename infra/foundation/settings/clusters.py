"""The kinds of cluster that a stack file can choose from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.foundation.settings.embedded import EmbeddedCluster
from infra.foundation.settings.existing import ExistingCluster
from infra.foundation.settings.kind import KindCluster

Cluster = Annotated[EmbeddedCluster | KindCluster | ExistingCluster, Field(discriminator="kind")]
