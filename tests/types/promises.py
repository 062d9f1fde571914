"""What the public types promise, checked by pyright with `make lint`. Nothing here runs.

A line that must be an error names its rule in `pyright: ignore[...]`; one that stops being an error is reported as well.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, assert_never, assert_type

from pulumi import Output, ResourceOptions

from components.cluster import EmbeddedCluster as EmbeddedClusterComponent
from components.cluster import ExistingCluster as ExistingClusterComponent
from components.cluster import ExistingClusterArgs, KindClusterArgs
from components.cluster import KindCluster as KindClusterComponent
from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.file_share import FileShare, FileShareArgs
from components.image import Image, ImageArgs
from components.namespace import Namespace, NamespaceArgs
from components.postgres import Postgres, PostgresArgs
from components.serving.endpoint import CanaryVariant, Endpoint, EndpointArgs
from components.serving.variant import Capacity, ServedRelease
from components.tracking import ArtifactStore, TrackingArgs
from infra.foundation.settings.embedded import EmbeddedCluster
from infra.foundation.settings.existing import ExistingCluster
from infra.foundation.settings.kind import KindCluster
from infra.promotion.deployed import DeployedRelease, DeployedReleases
from infra.sections.types import PortRange
from infra.settings import model
from infra.settings.releases import Evidence, Release, WorkloadReleases
from infra.tiers.loading import resolve
from infra.tiers.model import Requirements, StackTier
from workloads.gate import Age, Finding, Gate, Regression, Rule

if TYPE_CHECKING:
    from datetime import date

    from common.progress import Progress
    from infra.foundation.result import Foundation
    from infra.foundation.settings.cluster import ClusterSettings
    from infra.foundation.settings.clusters import Cluster


def arguments_have_names() -> None:
    NamespaceArgs(name="training")
    NamespaceArgs("training")  # pyright: ignore[reportCallIssue]
    FileShareArgs("training", "1Gi")  # pyright: ignore[reportCallIssue]
    ServedRelease("r/m@sha256:0", 1, "run")  # pyright: ignore[reportCallIssue]
    StackTier("dev")  # pyright: ignore[reportCallIssue]
    DeployedRelease(1, "sha256:0")  # pyright: ignore[reportCallIssue]


def arguments_have_no_other_names_and_none_is_missing() -> None:
    FileShareArgs(namespace="n", size="1Gi", storageClass="fast")  # pyright: ignore[reportCallIssue]
    FileShareArgs(namespace="n")  # pyright: ignore[reportCallIssue]
    KindClusterArgs(cluster_name="c", node_ports="30000-30031")  # pyright: ignore[reportArgumentType]
    PostgresArgs(namespace="n", image="i")  # pyright: ignore[reportCallIssue]


def what_comes_from_other_resources_may_be_an_output(output: Output[str], served: ServedRelease, capacity: Capacity) -> None:
    NamespaceArgs(name=output)
    FileShareArgs(namespace=output, size="1Gi")
    PostgresArgs(namespace=output, image=output, databases=("a",), clients={}, storage="1Gi", cpu="1", memory="1Gi")
    EndpointArgs(namespace=output, router_image=output, capacity=capacity, stable=served)
    TrackingArgs(
        namespace=output,
        image=output,
        backend=output,
        accounts=output,
        artifacts=ArtifactStore(destination="/artifacts", claim=output),
        host="localhost",
        node_port=30000,
        cpu="1",
        memory="1Gi",
        workers=1,
    )


def what_an_output_holds_matters(number: Output[int]) -> None:
    NamespaceArgs(name=number)  # pyright: ignore[reportArgumentType]
    FileShareArgs(namespace=number, size="1Gi")  # pyright: ignore[reportArgumentType]


def what_steers_the_program_is_plain(
    output: Output[str], number: Output[int], served: ServedRelease, capacity: Capacity
) -> None:
    """In a preview an output may be unknown: what is declared may not depend on one."""
    FileShareArgs(namespace="n", size="1Gi", protect=output)  # pyright: ignore[reportArgumentType]
    FileShareArgs(namespace="n", size=output)  # pyright: ignore[reportArgumentType]
    KindClusterArgs(cluster_name=output, node_ports=range(3))  # pyright: ignore[reportArgumentType]
    ExistingClusterArgs(context=output, kubeconfig=None)  # pyright: ignore[reportArgumentType]
    ServedRelease(image=output, version=1, run="r")  # pyright: ignore[reportArgumentType]
    CanaryVariant(served=served, percent=number)  # pyright: ignore[reportArgumentType]
    EndpointArgs(
        namespace="n",
        router_image="i",
        capacity=capacity,
        stable=served,
        router_replicas=number,  # pyright: ignore[reportArgumentType]
        node_port=number,  # pyright: ignore[reportArgumentType]
    )


def arguments_are_frozen(share: FileShareArgs, endpoint: EndpointArgs, served: ServedRelease) -> None:
    share.size = "2Gi"  # pyright: ignore[reportAttributeAccessIssue]
    endpoint.canary = None  # pyright: ignore[reportAttributeAccessIssue]
    served.version = 2  # pyright: ignore[reportAttributeAccessIssue]


def components_have_one_shape(registry: ContainerRegistry) -> None:
    """Name, arguments, options; each takes the arguments made for it."""
    options = ResourceOptions()
    Namespace("n", NamespaceArgs(name="n"), options)
    ContainerRegistry("r", ContainerRegistryArgs(address="localhost:5000"), options)
    Image("i", ImageArgs(registry=registry, dockerfile="Dockerfile", base="debian"), options)
    Namespace("n", FileShareArgs(namespace="n", size="1Gi"))  # pyright: ignore[reportArgumentType]
    Namespace("n")  # pyright: ignore[reportCallIssue]
    Namespace(NamespaceArgs(name="n"))  # pyright: ignore[reportCallIssue]
    ImageArgs(registry="localhost:5000", dockerfile="Dockerfile", base="b")  # pyright: ignore[reportArgumentType]


def what_components_make_is_typed(
    namespace: Namespace, share: FileShare, image: Image, postgres: Postgres, endpoint: Endpoint
) -> None:
    assert_type(namespace.name, Output[str])
    assert_type(share.claim, Output[str])
    assert_type(image.ref, Output[str])
    assert_type(postgres.host, Output[str])
    assert_type(postgres.password, Output[str])
    assert_type(endpoint.url, Output[str])
    print(namespace.nmae)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]


def every_kind_of_cluster_gives_the_same(
    cluster: EmbeddedClusterComponent | KindClusterComponent | ExistingClusterComponent, foundation: Foundation
) -> None:
    assert_type(cluster.kubeconfig, Output[str])
    assert_type(foundation.cluster.kubeconfig, Output[str])
    foundation.cluster = cluster  # pyright: ignore[reportAttributeAccessIssue]


def mappings_of_settings_are_read_only(settings: model.Settings, release: Release) -> None:
    """That no field of settings is set anew, pyright cannot see: `tests/unit/infra/test_frozen.py`."""
    settings.releases["markdown"] = settings.releases["tuna"]  # pyright: ignore[reportIndexIssue]
    release.evidence.metrics["wape"] = 0.0  # pyright: ignore[reportIndexIssue]


def settings_hold_plain_values(settings: model.Settings, releases: WorkloadReleases) -> None:
    assert_type(settings.tracking.node_port, int)
    assert_type(settings.database.protect, bool)
    assert_type(settings.releases, Mapping[str, WorkloadReleases])
    assert_type(releases.served, dict[str, Release])
    assert_type(releases.previous, Release | None)
    print(settings.databse)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    print(releases.previous.image)  # pyright: ignore[reportOptionalMemberAccess]


def what_is_optional_has_to_be_looked_at(evidence: Evidence, deployed: DeployedReleases, today: date) -> None:
    assert_type(evidence.age(today), int | None)
    assert_type(evidence.age(today) + 1, int)  # pyright: ignore[reportOptionalOperand, reportAssertTypeFailure]
    print(deployed.here.get("markdown").image)  # pyright: ignore[reportOptionalMemberAccess]


def every_kind_of_cluster_answers_for_itself(cluster: Cluster) -> ClusterSettings:
    assert_type(cluster.host, str)
    assert_type(cluster.namespace_prefix, str)
    assert_type(cluster.node_ports, PortRange)
    assert_type(cluster.owns_container_registry, bool)
    print(cluster.api_port)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    return cluster


def every_kind_of_cluster_is_handled(cluster: Cluster) -> str:
    match cluster:
        case EmbeddedCluster():
            return assert_type(cluster.kind, Literal["embedded"])
        case KindCluster():
            return cluster.name
        case ExistingCluster():
            return cluster.context
        case _:
            assert_never(cluster)


def one_kind_of_cluster_is_forgotten(cluster: Cluster) -> str:
    match cluster:
        case EmbeddedCluster() | KindCluster():
            return "localhost"
        case _:
            assert_never(cluster)  # pyright: ignore[reportArgumentType]


def every_kind_of_endpoint_is_handled(serving: model.Serving) -> int | None:
    match serving:
        case model.DeploymentServing():
            return None
        case model.SeldonServing():
            return serving.gateway_node_port
        case _:
            assert_never(serving)


def one_kind_of_endpoint_is_forgotten(serving: model.Serving) -> None:
    match serving:
        case model.DeploymentServing():
            return
        case _:
            assert_never(serving)  # pyright: ignore[reportArgumentType]


def a_gate_is_made_of_rules_and_finds_findings(gate: Gate) -> None:
    Gate(rules=(Rule(metric="wape", at_most=0.4), Regression(metric="wape", at_most=1.02), Age(at_most_days=90)))
    Gate(rules=("wape <= 0.4",))  # pyright: ignore[reportArgumentType]
    assert_type(gate.check({"wape": 0.4}), tuple[Finding, ...])
    gate.check({"wape": "0.4"})  # pyright: ignore[reportArgumentType]


def every_stack_has_a_tier(requirements: Requirements) -> None:
    assert_type(resolve("canada"), StackTier)
    assert_type(resolve("canada").source, StackTier | None)
    requirements.approval = False  # pyright: ignore[reportAttributeAccessIssue]


def what_is_done_in_steps_is_told_as_a_context(progress: Progress) -> None:
    with progress.step("tools") as step:
        step.advance(1, 2)
        step.note("uv")
        step.advance("1")  # pyright: ignore[reportArgumentType]
