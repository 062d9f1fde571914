"""Training runs as Kubernetes objects: making a Job, and reading how it and its pods are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.kubernetes import list_at, text_at
from common.labels import BACKTESTED_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clients.kubernetes import Object

REVISION = "MODELSTACK_REVISION"
TRAINER = "MODELSTACK_TRAINER"


def job_of(cron_job: Object, name: str, revision: str, trainer: str, version: int | None = None) -> Object:
    """A run of a CronJob, as `kubectl create job --from` makes it, that also records the code's revision and who started it.

    Args:
        cron_job: the template.
        name: of the job.
        revision: of the code.
        trainer: who starts it.
        version: the registered version that is back-tested; None: a new one is trained.
    """
    template: Object = cron_job["spec"]["jobTemplate"]
    pod: Object = template["spec"]["template"]
    metadata: Object = template.get("metadata") or {}
    told = {REVISION: revision, TRAINER: trainer}
    containers = [_told(container, told, version) for container in list_at(pod, "spec", "containers")]
    tested = {} if version is None else {BACKTESTED_LABEL: str(version)}
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": cron_job["metadata"]["name"],
        "uid": cron_job["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {**(metadata.get("labels") or {}), **tested},
            "annotations": {**(metadata.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [owner],
        },
        "spec": {**template["spec"], "template": {**pod, "spec": {**pod["spec"], "containers": containers}}},
    }


def backtested(job: Object) -> int | None:
    """The registered version that a job back-tests; None: it trains."""
    version = text_at(job, "metadata", "labels", BACKTESTED_LABEL)
    return int(version) if version else None


def _told(container: Object, variables: Mapping[str, str], version: int | None) -> Object:
    others = [entry for entry in list_at(container, "env") if entry["name"] not in variables]
    env = [*others, *({"name": name, "value": value} for name, value in variables.items())]
    asked = [] if version is None else ["--version", str(version)]
    return {**container, "env": env, "command": [*list_at(container, "command"), *asked]}


def condition(job: Object, kind: str) -> Object:
    """The job's condition of a kind where it is true; empty where it is not."""
    conditions = list_at(job, "status", "conditions")
    found = [found for found in conditions if found["type"] == kind and found["status"] == "True"]
    return found[0] if found else {}


def ended(job: Object) -> bool:
    """Whether the job is over, well or not."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def started(pod: Object) -> bool:
    """Whether the pod's container runs or ran, so that there is a log."""
    statuses = list_at(pod, "status", "containerStatuses")
    return any("running" in status["state"] or "terminated" in status["state"] for status in statuses)


def waiting(pod: Object) -> tuple[str, str]:
    """Why a pod does not run yet: reason and message."""
    for container in list_at(pod, "status", "containerStatuses"):
        if reason := text_at(container, "state", "waiting", "reason"):
            return reason, text_at(container, "state", "waiting", "message")
    for found in list_at(pod, "status", "conditions"):
        if found["type"] == "PodScheduled" and found["status"] == "False":
            return text_at(found, "reason") or "Unschedulable", text_at(found, "message")
    return text_at(pod, "status", "phase") or "Pending", ""
