"""The identity under which pods use services outside the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input


@dataclass(frozen=True, kw_only=True)
class PodIdentity:
    """What ties a service account and its pods to an identity outside the cluster. Empty: the pods have no such identity.

    A cluster with workload identity (for example AKS) reads the annotation of the account and the labels of the pods, and gives
    the pods a token of the identity.
    """

    account_annotations: Mapping[str, Input[str]] = field(default_factory=dict[str, "Input[str]"])
    pod_labels: Mapping[str, str] = field(default_factory=dict[str, str])
