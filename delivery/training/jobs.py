"""Training runs as Kubernetes objects: creates the Job of a run, and reads the status of Jobs and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.kubernetes import list_at, text_at
from common.errors import UserError
from common.labels import BACKTESTED_LABEL, RUN_ARGUMENT, RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.kubernetes import Object

TRAINER = "MODELSTACK_TRAINER"


def job_from_cron_job(cron_job: Object, run: str, trainer: str, version: int | None = None) -> Object:
    """Returns a Job from a CronJob's template, as `kubectl create job --from` does.

    In addition, the Job's arguments contain the id of the run, and its variables the trainer.

    Args:
        cron_job: the CronJob that has the template.
        run: id of the run, which is also the name of the Job.
        trainer: the person who starts the run.
        version: the registered version to back-test; None to train a new version.

    Raises:
        UserError: the CronJob belongs to an older release, whose training image knows no ids of runs.
    """
    argument = text_at(cron_job, "spec", "jobTemplate", "metadata", "annotations", RUN_ARGUMENT)
    if not argument:
        raise UserError(
            "The environment's training image is older than this command, so it cannot record which run registers a version.",
            where=f"CronJob {text_at(cron_job, 'metadata', 'name')}",
            found=f"no annotation {RUN_ARGUMENT}",
            fix="update the environment with `pulumi up` or `modelstack up`, then run the same command again",
        )
    template: Object = cron_job["spec"]["jobTemplate"]
    pod: Object = template["spec"]["template"]
    metadata: Object = template.get("metadata") or {}
    arguments = [argument, run, *([] if version is None else ["--version", str(version)])]
    containers = [_with_run(container, trainer, arguments) for container in list_at(pod, "spec", "containers")]
    run_labels = {RUN_LABEL: run} | ({} if version is None else {BACKTESTED_LABEL: str(version)})
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
            "name": run,
            "labels": {**(metadata.get("labels") or {}), **run_labels},
            "annotations": {**(metadata.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [owner],
        },
        "spec": {**template["spec"], "template": {**pod, "spec": {**pod["spec"], "containers": containers}}},
    }


def backtested_version(job: Object) -> int | None:
    """Returns the registered version that a Job back-tests, or None if the Job is a training."""
    version = text_at(job, "metadata", "labels", BACKTESTED_LABEL)
    return int(version) if version else None


def has_run_id(job: Object | None) -> bool:
    """Returns whether a Job's run records its id, which is the Job's name, in MLflow. Jobs that older releases created do not.

    A Job that is gone counts as one of this release.
    """
    return job is None or bool(text_at(job, "metadata", "labels", RUN_LABEL))


def _with_run(container: Object, trainer: str, arguments: Sequence[str]) -> Object:
    others = [entry for entry in list_at(container, "env") if entry["name"] != TRAINER]
    env = [*others, {"name": TRAINER, "value": trainer}]
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
