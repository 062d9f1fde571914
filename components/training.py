"""The training of workloads: one suspended CronJob per workload.

A suspended CronJob is only a template. A training run is a Job that is created from it, as `kubectl create job --from` does.
The stack does not declare a Job, because a Job would run again after each change of its declaration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_kubernetes import batch, core, networking

from common.labels import RUN_ARGUMENT
from components.identity import PodIdentity
from components.objects import labels, name_of
from components.pods import CONTAINER_SECURITY, POD_SECURITY, claim, resources, scratch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi_kubernetes.batch.v1 import JobTemplateSpecArgsDict
    from pulumi_kubernetes.core.v1 import ContainerArgsDict
    from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

_NEVER: Final = "0 0 1 1 *"
"""A schedule, which Kubernetes requires. It has no effect, because the CronJob is suspended."""


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """The resources of one workload's training runs."""

    cron_job: str
    """The name of the CronJob."""
    cpu: str
    memory: str
    cpu_limit: str | None
    deadline_seconds: int
    scratch: str
    """The size of `/tmp`."""


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """The namespace, the image, the tracking server and the data volume of all training runs."""

    namespace: Input[str]
    image: Input[str]
    tracking_url: Input[str]
    tracking_username: Input[str]
    tracking_password: Input[str]
    tracking_namespace: Input[str]
    data: Input[str]
    """The ReadWriteMany volume claim that is mounted at `/data`."""
    jobs: Mapping[str, TrainingJob]
    """The training job of each workload, by the workload's name."""
    retention_seconds: int
    """The time after which Kubernetes deletes a finished run."""
    identity: PodIdentity = field(default_factory=PodIdentity)
    """The identity under which training runs use services outside the cluster."""


class Training(pulumi.ComponentResource):
    """The CronJobs of all workloads. Their pods have no access to the Kubernetes API and reach only the tracking server."""

    namespace: Output[str]
    cron_jobs: Mapping[str, Output[str]]
    """The names of the CronJobs, by workload."""

    def __init__(self, name: str, args: TrainingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("modelstack:training:Training", name, None, opts)
        account = core.v1.ServiceAccount(
            f"{name}-account",
            metadata=_account_metadata(name, args),
            automount_service_account_token=False,
            opts=ResourceOptions(parent=self),
        )
        access = core.v1.Secret(
            f"{name}-tracking-access",
            metadata={"name": "tracking-access", "namespace": args.namespace, "labels": labels(name)},
            string_data={
                "MLFLOW_TRACKING_USERNAME": args.tracking_username,
                "MLFLOW_TRACKING_PASSWORD": args.tracking_password,
            },
            opts=ResourceOptions(parent=self),
        )
        networking.v1.NetworkPolicy(
            f"{name}-traffic",
            metadata={"name": name, "namespace": args.namespace},
            spec={
                "pod_selector": {},
                "policy_types": ["Egress"],
                "egress": [
                    {"to": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": args.tracking_namespace}}}]}
                ],
            },
            opts=ResourceOptions(parent=self),
        )
        jobs = {
            workload: batch.v1.CronJob(
                f"{name}-{workload}",
                metadata={"name": job.cron_job, "namespace": args.namespace, "labels": labels(workload)},
                spec={
                    "schedule": _NEVER,
                    "suspend": True,
                    "concurrency_policy": "Forbid",
                    "job_template": _job(workload, job, args, account=name_of(account), access=name_of(access)),
                },
                opts=ResourceOptions(parent=self),
            )
            for workload, job in args.jobs.items()
        }
        self.namespace = Output.from_input(args.namespace)
        self.cron_jobs = {workload: name_of(job) for workload, job in jobs.items()}
        self.register_outputs({"cron_jobs": self.cron_jobs})


def _account_metadata(name: str, args: TrainingArgs) -> ObjectMetaArgsDict:
    metadata: ObjectMetaArgsDict = {"name": name, "namespace": args.namespace, "labels": labels(name)}
    annotations = args.identity.account_annotations
    return {**metadata, "annotations": annotations} if annotations else metadata


def _job(
    workload: str, job: TrainingJob, args: TrainingArgs, *, account: Output[str], access: Output[str]
) -> JobTemplateSpecArgsDict:
    return {
        "metadata": {"labels": labels(workload), "annotations": {RUN_ARGUMENT: "--run"}},
        "spec": {
            "backoff_limit": 0,  # a failed run is not repeated: its log says what to change
            "active_deadline_seconds": job.deadline_seconds,
            "ttl_seconds_after_finished": args.retention_seconds,
            "template": {
                "metadata": {"labels": {**labels(workload), **args.identity.pod_labels}},
                "spec": {
                    "restart_policy": "Never",
                    "service_account_name": account,
                    "automount_service_account_token": False,
                    "enable_service_links": False,
                    "security_context": POD_SECURITY,
                    "containers": [_container(workload, job, args, access)],
                    "volumes": [claim("data", args.data), scratch("tmp", job.scratch)],
                },
            },
        },
    }


def _container(workload: str, job: TrainingJob, args: TrainingArgs, access: Output[str]) -> ContainerArgsDict:
    return {
        "name": "training",
        "image": args.image,
        "command": ["python", "-m", "workloads.run", workload],
        "env": [
            {"name": "MLFLOW_TRACKING_URI", "value": args.tracking_url},
            {"name": "MODELSTACK_IMAGE", "value": Output.from_input(args.image).apply(_digest)},
            {"name": "MODELSTACK_SOURCE", "value": "/opt/data"},
            {"name": "MODELSTACK_DATA", "value": "/data"},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 a volume of this pod
        ],
        "env_from": [{"secret_ref": {"name": access}}],
        "resources": resources(cpu=job.cpu, memory=job.memory, cpu_limit=job.cpu_limit),
        "security_context": CONTAINER_SECURITY,
        "volume_mounts": [
            {"name": "data", "mount_path": "/data"},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108 a volume of this pod
        ],
    }


def _digest(image: str) -> str:
    return image.rpartition("@")[2]
