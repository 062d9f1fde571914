"""What a stack tells the world: `pulumi stack output`, the `modelstack` command and other stacks read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

import pulumi

from infra import naming
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from pulumi import Output

    from infra.environment import Environment
    from infra.platform import Platform
    from infra.settings import Settings


class TrackingOutput(TypedDict):
    """The MLflow server as seen from outside the cluster."""

    url: Output[str]
    username: Output[str]
    password: Output[str]


class TrainingOutput(TypedDict):
    """The suspended CronJob that a workload's training runs are made from."""

    namespace: Output[str]
    cronJob: Output[str]
    image: Output[str]


class EndpointOutput(TypedDict):
    """Where a workload answers, and with what."""

    url: Output[str]
    version: int
    run: str
    image: str


class WorkloadOutput(TypedDict):
    """What became of a workload of this environment: one without a release has no endpoint, and says so."""

    owner: str
    state: Literal["serving", "unreleased"]


def export(settings: Settings, environment: Environment, platform: Platform) -> None:
    """Exports the outputs."""
    pulumi.export("kubeconfig", environment.cluster.kubeconfig)
    pulumi.export("registry", environment.registry.address)
    pulumi.export("servingImage", platform.images.serving.ref)
    pulumi.export("tracking", _tracking(platform))
    pulumi.export("training", _training(platform))
    pulumi.export("endpoints", _endpoints(settings, platform))
    pulumi.export("workloads", _workloads(settings))


def _tracking(platform: Platform) -> TrackingOutput:
    tracking = platform.tracking
    return {"url": tracking.url, "username": tracking.username, "password": tracking.password}


def _training(platform: Platform) -> dict[str, TrainingOutput]:
    training, image = platform.training, platform.images.training.ref
    return {
        workload: {"namespace": training.namespace, "cronJob": cron_job, "image": image}
        for workload, cron_job in training.cron_jobs.items()
    }


def _endpoints(settings: Settings, platform: Platform) -> dict[str, EndpointOutput]:
    registry, releases = settings.images.registry, settings.releases
    return {
        workload: {
            "url": endpoint.url,
            "version": releases[workload].version,
            "run": releases[workload].run,
            "image": naming.serving_image(registry, workload, releases[workload].image),
        }
        for workload, endpoint in platform.endpoints.items()
    }


def _workloads(settings: Settings) -> dict[str, WorkloadOutput]:
    return {
        name: {"owner": WORKLOADS[name].owner, "state": "serving" if name in settings.releases else "unreleased"}
        for name in settings.workloads
    }
