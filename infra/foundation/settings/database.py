"""The settings of each kind of database."""

from __future__ import annotations

from typing import Literal

from infra.sections.section import Section
from infra.sections.types import Cpu, Memory, Storage


class DatabaseInCluster(Section):
    """The PostgreSQL server that stores the data of MLflow. It runs in the cluster, on a volume of its own."""

    kind: Literal["in-cluster"] = "in-cluster"
    storage: Storage = "2Gi"
    cpu: Cpu = "100m"
    memory: Memory = "256Mi"
    protect: bool = False
    """Whether the engine refuses to delete the database's volume and password."""


Database = DatabaseInCluster
