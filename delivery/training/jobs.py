"""Training runs as Kubernetes objects: creates the Job of a run, and reads the status of Jobs and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.kubernetes import list_at, text_at
from common.labels import BACKTESTED_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clients.kubernetes import Object

REVISION = "MODELSTACK_REVISION"
TRAINER = "MODELSTACK_TRAINER"


def job_from_cron_job(cron_job: Object, name: str, revision: str, trainer: str, version: int | None = None) -> Object:
    """Returns a Job from a CronJob's template, as `kubectl create job --from` does.

    In addition, the Job's variables contain the code's revision and the trainer.

    Args:
        cron_job: the CronJob that has the template.
        name: name of the Job.
        revision: revision of the code.
        trainer: the person who starts the run.
        version: the registered version to back-test; None to train a new version.
    """
    template: Object = cron_job["spec"]["jobTemplate"]
    pod: Object = template["spec"]["template"]
    metadata: Object = template.get("metadata") or {}
    variables = {REVISION: revision, TRAINER: trainer}
    containers = [_with_variables(container, variables, version) for container in list_at(pod, "spec", "containers")]
    version_label = {} if version is None else {BACKTESTED_LABEL: str(version)}
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
            "labels": {**(metadata.get("labels") or {}), **version_label},
            "annotations": {**(metadata.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [owner],
        },
        "spec": {**template["spec"], "template": {**pod, "spec": {**pod["spec"], "containers": containers}}},
    }


def backtested_version(job: Object) -> int | None:
    """Returns the registered version that a Job back-tests, or None if the Job is a training."""
    version = text_at(job, "metadata", "labels", BACKTESTED_LABEL)
    return int(version) if version else None


def _with_variables(container: Object, variables: Mapping[str, str], version: int | None) -> Object:
    others = [entry for entry in list_at(container, "env") if entry["name"] not in variables]
    env = [*others, *({"name": name, "value": value} for name, value in variables.items())]
    arguments = [] if version is None else ["--version", str(version)]
    return {**container, "env": env, "command": [*list_at(container, "command"), *arguments]}


def condition(job: Object, kind: str) -> Object:
    """Returns the Job's condition of a type, or an empty object if that condition is not true."""
    conditions = list_at(job, "status", "conditions")
    matches = [entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"]
    return matches[0] if matches else {}


def ended(job: Object) -> bool:
    """Returns whether the Job is complete or has failed."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def started(pod: Object) -> bool:
    """Returns whether the pod's container runs or has run, so that it has a log."""
    statuses = list_at(pod, "status", "containerStatuses")
    return any("running" in status["state"] or "terminated" in status["state"] for status in statuses)


def waiting_reason(pod: Object) -> tuple[str, str]:
    """Returns why a pod does not run yet: reason and message."""
    for container in list_at(pod, "status", "containerStatuses"):
        if reason := text_at(container, "state", "waiting", "reason"):
            return reason, text_at(container, "state", "waiting", "message")
    for entry in list_at(pod, "status", "conditions"):
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return text_at(entry, "reason") or "Unschedulable", text_at(entry, "message")
    return text_at(pod, "status", "phase") or "Pending", ""
