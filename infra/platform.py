"""Composes the platform on its foundation, from the database to the endpoints.

Each part receives named attributes of the parts before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from common import naming
from common.roles import CANARY, SHADOW, STABLE
from components.file_share import FileShare, FileShareArgs
from components.image import Image, ImageArgs
from components.namespace import Namespace, NamespaceArgs
from components.objects import selector
from components.postgres import Postgres, PostgresArgs
from components.serving.endpoint import CanaryVariant, Endpoint, EndpointArgs, Gateway
from components.serving.variant import Capacity, ServedRelease
from components.tracking import Tracking, TrackingArgs
from components.training import Training, TrainingArgs, TrainingJob
from infra import image_inputs
from infra.settings import model
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.serving.seldon import SeldonEndpoint
    from infra.foundation import Foundation
    from infra.settings.model import Settings
    from workloads.declaration import Workload

RUNS, ACCOUNTS = "tracking", "accounts"
"""The names of the tracking server's databases: one for runs and models, one for user accounts."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images that the stack builds from this checkout."""

    postgres: Image
    tracking: Image
    training: Image
    serving: Image
    """The base image of release images."""
    router: Image


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The parts of the platform that the stack's outputs describe."""

    images: Images
    tracking: Tracking
    training: Training
    endpoints: Mapping[str, Endpoint | SeldonEndpoint]
    """The endpoint of each workload that has a release, by the workload's name."""


def compose(settings: Settings, foundation: Foundation) -> Platform:
    """Declares the platform and returns its parts."""
    images = _images(settings, foundation)

    def namespace(name: str) -> Namespace:
        full_name = naming.namespace(settings.cluster.namespace_prefix, name)
        return Namespace(name, NamespaceArgs(name=full_name), foundation.on_cluster)

    tracking_namespace, training_namespace = namespace("tracking"), namespace("training")
    serving_namespace = namespace(naming.SERVING)
    tracking = _tracking(settings, foundation, images, tracking_namespace)
    training = _training(settings, foundation, images, training_namespace, tracking)
    endpoints = {
        name: _endpoint(settings, foundation, images, serving_namespace, WORKLOADS[name]) for name in settings.releases
    }
    return Platform(images=images, tracking=tracking, training=training, endpoints=endpoints)


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
        postgres=image("postgres"),
        tracking=image("tracking"),
        training=image("training", REVISION=inputs.revision, INPUTS=inputs.digest),
        serving=image("serving"),
        router=image("router"),
    )


def _dockerfile(image: str) -> str:
    return f"components/images/{image}/Dockerfile"


def _tracking(settings: Settings, foundation: Foundation, images: Images, namespace: Namespace) -> Tracking:
    postgres = Postgres(
        "postgres",
        PostgresArgs(
            namespace=namespace.name,
            image=images.postgres.ref,
            databases=[RUNS, ACCOUNTS],
            clients=selector("tracking"),
            storage=settings.database.storage,
            storage_class=settings.storage_classes.volumes,
            cpu=settings.database.cpu,
            memory=settings.database.memory,
            protect=settings.database.protect,
        ),
        foundation.on_cluster,
    )
    artifacts = FileShare(
        "artifacts",
        FileShareArgs(
            namespace=namespace.name,
            size=settings.tracking.storage,
            storage_class=settings.storage_classes.shares,
            protect=settings.tracking.protect,
        ),
        foundation.on_cluster,
    )
    return Tracking(
        "tracking",
        TrackingArgs(
            namespace=namespace.name,
            image=images.tracking.ref,
            backend=postgres.url(RUNS),
            accounts=postgres.url(ACCOUNTS),
            artifacts=artifacts.claim,
            host=foundation.host,
            node_port=settings.tracking.node_port,
            cpu=settings.tracking.cpu,
            memory=settings.tracking.memory,
            workers=settings.tracking.workers,
            protect=settings.tracking.protect,
        ),
        foundation.on_cluster,
    )


def _training(settings: Settings, foundation: Foundation, images: Images, namespace: Namespace, tracking: Tracking) -> Training:
    data = FileShare(
        "data",
        FileShareArgs(namespace=namespace.name, size=settings.training.storage, storage_class=settings.storage_classes.shares),
        foundation.on_cluster,
    )
    return Training(
        "training",
        TrainingArgs(
            namespace=namespace.name,
            image=images.training.ref,
            tracking_url=tracking.internal_url,
            tracking_username=tracking.username,
            tracking_password=tracking.password,
            tracking_namespace=tracking.namespace,
            data=data.claim,
            jobs={name: _job(workload) for name, workload in WORKLOADS.items()},
            retention_seconds=settings.training.keep_runs_seconds,
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
            host=foundation.host if node_port else "",
            node_port=node_port,
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
