"""Composes the platform on its foundation, from the database to the endpoints.

Each part receives named attributes of the parts before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import pulumi

from common import naming
from common.roles import CANARY, SHADOW, STABLE
from components.image import Image, ImageArgs
from components.namespace import Namespace, NamespaceArgs
from components.objects import selector
from components.owner import Owner, OwnerArgs
from components.release_record import ReleaseRecord, ReleaseRecordArgs
from components.serving.endpoint import CanaryVariant, Endpoint, EndpointArgs, Gateway
from components.serving.variant import Capacity, ServedRelease
from components.tracking import Tracking, TrackingArgs
from components.training import Training, TrainingArgs, TrainingJob
from infra import image_inputs
from infra.live_cluster import OWNER_CONFIG_MAP, RELEASES_CONFIG_MAP
from infra.settings import model
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input

    from components.serving.seldon import SeldonEndpoint
    from infra.foundation.result import Foundation
    from infra.settings.model import Settings
    from workloads.declaration import Workload

RUNS, ACCOUNTS = "tracking", "accounts"
"""The names of the tracking server's databases: one for runs and models, one for user accounts."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images that the stack builds from this checkout."""

    tracking: Image
    training: Image
    serving: Image
    """The base image of release images."""
    router: Image


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The parts of the platform that the stack's outputs describe."""

    images: Images
    owner: Owner
    tracking: Tracking
    training: Training
    endpoints: Mapping[str, Endpoint | SeldonEndpoint]
    """The endpoint of each workload that has a release, by the workload's name."""


def compose(settings: Settings, foundation: Foundation, backend: str) -> Platform:
    """Declares the platform and returns its parts. `backend` is the URL of the stack's backend, for people."""
    images = _images(settings, foundation)

    def namespace(name: str) -> Namespace:
        full_name = naming.namespace(settings.cluster.namespace_prefix, name)
        return Namespace(name, NamespaceArgs(name=full_name), foundation.on_cluster)

    tracking_namespace, training_namespace = namespace("tracking"), namespace("training")
    serving_namespace = namespace(naming.SERVING)
    owner = _owner(foundation, tracking_namespace, backend)
    tracking = _tracking(settings, foundation, images, tracking_namespace)
    training = _training(settings, foundation, images, training_namespace, tracking)
    endpoints = {
        name: _endpoint(settings, foundation, images, serving_namespace, WORKLOADS[name]) for name in settings.releases
    }
    return Platform(images=images, owner=owner, tracking=tracking, training=training, endpoints=endpoints)


def record(foundation: Foundation, platform: Platform, releases: Mapping[str, Input[Mapping[str, object]]]) -> None:
    """Writes the deployed releases to the cluster, where `modelstack up --adopt` finds them without this stack's state."""
    args = ReleaseRecordArgs(namespace=platform.tracking.namespace, config_map=RELEASES_CONFIG_MAP, releases=releases)
    ReleaseRecord("releases", args, foundation.on_cluster)


def _owner(foundation: Foundation, namespace: Namespace, backend: str) -> Owner:
    args = OwnerArgs(
        namespace=namespace.name,
        config_map=OWNER_CONFIG_MAP,
        backend=backend,
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
    )
    return Owner("owner", args, foundation.on_cluster)


def _images(settings: Settings, foundation: Foundation) -> Images:
    def image(name: str, **arguments: str) -> Image:
        args = ImageArgs(
            registry=foundation.container_registry,
            dockerfile=_dockerfile(name),
            base=settings.images.base,
            arguments=arguments,
        )
        return Image(name, args)

    inputs = image_inputs.read(_dockerfile("training"))
    return Images(
        tracking=image("tracking"),
        training=image("training", REVISION=inputs.revision, INPUTS=inputs.digest),
        serving=image("serving"),
        router=image("router"),
    )


def _dockerfile(image: str) -> str:
    return f"components/images/{image}/Dockerfile"


def _tracking(settings: Settings, foundation: Foundation, images: Images, namespace: Namespace) -> Tracking:
    database = foundation.database.server(
        "postgres", namespace=namespace.name, databases=[RUNS, ACCOUNTS], clients=selector("tracking")
    )
    artifacts = foundation.artifacts.store(
        "artifacts", namespace=namespace.name, size=settings.tracking.storage, protect=settings.tracking.protect
    )
    address = foundation.entrance.address(settings.tracking.node_port)
    return Tracking(
        "tracking",
        TrackingArgs(
            namespace=namespace.name,
            image=images.tracking.ref,
            backend=database.url(RUNS),
            accounts=database.url(ACCOUNTS),
            artifacts=artifacts,
            host=address.host,
            node_port=address.node_port,
            cpu=settings.tracking.cpu,
            memory=settings.tracking.memory,
            workers=settings.tracking.workers,
            protect=settings.tracking.protect,
            passwords=foundation.secrets,
            egress=database.egress,
            identity=foundation.identity.for_pods("tracking", namespace=namespace.name),
        ),
        foundation.on_cluster,
    )


def _training(settings: Settings, foundation: Foundation, images: Images, namespace: Namespace, tracking: Tracking) -> Training:
    data = foundation.shares.claim("data", namespace=namespace.name, size=settings.training.storage)
    return Training(
        "training",
        TrainingArgs(
            namespace=namespace.name,
            image=images.training.ref,
            tracking_url=tracking.internal_url,
            tracking_username=tracking.username,
            tracking_password=tracking.password,
            tracking_namespace=tracking.namespace,
            data=data,
            jobs={name: _job(workload) for name, workload in WORKLOADS.items()},
            retention_seconds=settings.training.keep_runs_seconds,
            identity=foundation.identity.for_pods("training", namespace=namespace.name),
        ),
        foundation.on_cluster,
    )


def _job(workload: Workload) -> TrainingJob:
    needs = workload.training
    return TrainingJob(
        cron_job=naming.cron_job(workload.name),
        cpu=needs.resources.cpu,
        memory=needs.resources.memory,
        cpu_limit=needs.resources.cpu_limit,
        deadline_seconds=needs.deadline_seconds,
        scratch=needs.scratch,
    )


def _endpoint(
    settings: Settings, foundation: Foundation, images: Images, namespace: Namespace, workload: Workload
) -> Endpoint | SeldonEndpoint:
    in_stack, releases, needs = settings.workloads[workload.name], settings.releases[workload.name], workload.serving
    served = {
        role: ServedRelease(
            image=naming.serving_image(settings.images.registry, workload.name, release.image),
            version=release.version,
            run=release.run,
        )
        for role, release in releases.served.items()
    }
    engine, node_port, gateway = _engine(settings.serving, in_stack.node_port)
    address = foundation.entrance.address(node_port) if node_port else None
    return engine(
        workload.name,
        EndpointArgs(
            namespace=namespace.name,
            router_image=images.router.ref,
            capacity=Capacity(
                cpu=needs.resources.cpu,
                memory=needs.resources.memory,
                cpu_limit=needs.resources.cpu_limit,
                workers=needs.workers,
                min_replicas=in_stack.replicas.min,
                max_replicas=in_stack.replicas.max,
                target_cpu_percent=needs.target_cpu_percent,
            ),
            stable=served[STABLE],
            canary=CanaryVariant(served=served[CANARY], percent=releases.canary.percent) if releases.canary else None,
            shadow=served.get(SHADOW),
            host=address.host if address else "",
            node_port=address.node_port if address else None,
            gateway=gateway,
        ),
        foundation.on_cluster,
    )


def _engine(serving: model.Serving, node_port: int) -> tuple[type[Endpoint | SeldonEndpoint], int | None, Gateway]:
    """Returns the component of the serving engine, the node port of its endpoints, and the gateway in front of them."""
    match serving:
        case model.DeploymentServing():
            return Endpoint, node_port, Gateway()
        case model.SeldonServing():
            from components.serving.seldon import SeldonEndpoint  # noqa: PLC0415 slow import, rarely used

            return (
                SeldonEndpoint,
                serving.gateway_node_port,
                Gateway(service=serving.gateway_service, namespace=serving.gateway_namespace),
            )
        case _:
            assert_never(serving)
