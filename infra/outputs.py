"""The outputs of a stack. `pulumi stack output`, the `modelstack` command and other stacks read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

import pulumi

from common import naming, outputs
from common.roles import STABLE
from workloads.catalogue import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Output

    from components.serving.endpoint import Endpoint
    from components.serving.seldon import SeldonEndpoint
    from infra.foundation.result import Foundation
    from infra.platform import Platform
    from infra.promotion.deployed import DeployedRelease, DeployedReleases
    from infra.settings.model import Settings
    from infra.settings.releases import WorkloadReleases


class TrackingOutput(TypedDict):
    """The address and the login of the MLflow server for clients outside the cluster."""

    url: Output[str]
    username: Output[str]
    password: Output[str]


class TrainingOutput(TypedDict):
    """The suspended CronJob that is the template of a workload's training runs."""

    namespace: Output[str]
    cronJob: Output[str]
    image: Output[str]


class EndpointOutput(TypedDict):
    """The address of a workload's endpoint and its stable release."""

    url: Output[str]
    version: int
    run: str
    image: str


class ReleaseOutput(TypedDict):
    """The stable release and the canary of a workload's endpoint.

    The stacks to which releases are promoted from this one depend on it: see `infra.promotion.deployed`.
    """

    version: int
    image: str
    """Digest."""
    metrics: Mapping[str, float]
    proven: list[str]
    """Digests of the images that this environment has served and whose releases are still in the stack file."""
    canary: CanaryOutput | None


class CanaryOutput(TypedDict):
    """The canary's version and its share of the requests in percent."""

    version: int
    percent: int


class WorkloadOutput(TypedDict):
    """The state of a workload in this environment. A workload without a release has no endpoint and is `unreleased`."""

    owner: str
    state: Literal["serving", "unreleased"]


def export(
    settings: Settings, foundation: Foundation, platform: Platform, releases: Mapping[str, Output[ReleaseOutput]]
) -> None:
    """Exports all outputs of the stack. `releases` is the result of the function of this name."""
    pulumi.export(outputs.KUBECONFIG, foundation.cluster.kubeconfig)
    pulumi.export(outputs.REGISTRY, foundation.container_registry.address)
    pulumi.export(outputs.SERVING_IMAGE, platform.images.serving.ref)
    pulumi.export(outputs.TRACKING, _tracking(platform))
    pulumi.export(outputs.TRAINING, _training(platform))
    pulumi.export(outputs.ENDPOINTS, _endpoints(settings, platform))
    pulumi.export(outputs.RELEASES, releases)
    pulumi.export(outputs.WORKLOADS, _workloads(settings))
    pulumi.export(outputs.OWNER, platform.owner.id)


def releases(settings: Settings, platform: Platform, deployed: DeployedReleases) -> dict[str, Output[ReleaseOutput]]:
    """Returns the deployed releases by workload. The output of a workload resolves when its endpoint is ready."""
    return {
        workload: _when_ready(endpoint, _release(settings.releases[workload], deployed.here.get(workload)))
        for workload, endpoint in platform.endpoints.items()
    }


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
            "version": release.version,
            "run": release.run,
            "image": naming.serving_image(registry, workload, release.image),
        }
        for workload, endpoint in platform.endpoints.items()
        for release in [releases[workload].served[STABLE]]
    }


def _release(releases: WorkloadReleases, before: DeployedRelease | None) -> ReleaseOutput:
    stable, canary = releases.served[STABLE], releases.canary
    retained = {release.image for release in releases.versions}
    served = {release.image for release in releases.served.values()}
    return {
        "version": stable.version,
        "image": stable.image,
        "metrics": dict(stable.evidence.metrics),
        "proven": sorted(served | (retained & before.proven if before else set())),
        "canary": {"version": canary.version, "percent": canary.percent} if canary else None,
    }


def _when_ready(endpoint: Endpoint | SeldonEndpoint, release: ReleaseOutput) -> Output[ReleaseOutput]:
    """Returns an output that resolves when the endpoint is ready: a release that failed to start does not count as stable."""

    def release_of_ready_endpoint(_url: str) -> ReleaseOutput:
        return release

    return endpoint.url.apply(release_of_ready_endpoint)


def _workloads(settings: Settings) -> dict[str, WorkloadOutput]:
    return {
        name: {"owner": WORKLOADS[name].owner, "state": "serving" if name in settings.releases else "unreleased"}
        for name in settings.workloads
    }
