"""Readiness of Deployments, StatefulSets, DaemonSets, Jobs, Pods and ReplicationControllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from local.plugins.kubernetes.manifests import objects
from local.plugins.kubernetes.manifests.objects import number
from local.plugins.kubernetes.readiness.pods import condition, is_ready, owned, pods_of, problems, problems_of_all
from local.plugins.kubernetes.readiness.waiting import Readiness, ReadinessCheck

if TYPE_CHECKING:
    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object

_REVISION: Final = "deployment.kubernetes.io/revision"


def observed(obj: Object) -> bool:
    """Returns whether the controller has observed the latest change of the object."""
    return number(obj, "status", "observedGeneration") >= number(obj, "metadata", "generation")


def _condition_text(condition: Object) -> str:
    return f"[{condition.get('reason')}] {condition.get('message')}"


def _deployment(_cluster: Cluster, obj: Object) -> Readiness:
    desired = number(obj, "spec", "replicas", default=1)
    updated, available = number(obj, "status", "updatedReplicas"), number(obj, "status", "availableReplicas")
    progressing, availability = condition(obj, "Progressing"), condition(obj, "Available")
    seen = observed(obj) and (bool(objects.annotation(obj, _REVISION)) or desired == 0)
    old = number(obj, "status", "replicas") - updated
    rolled_out = progressing.get("reason") == "NewReplicaSetAvailable" or not progressing
    if (
        seen
        and availability.get("status") == "True"
        and rolled_out
        and updated >= desired
        and available >= desired
        and old <= 0
    ):
        return Readiness(ready=True)
    reasons = [_condition_text(one) for one in (progressing, availability) if one.get("status") == "False"]
    replica_failure = condition(obj, "ReplicaFailure")
    if replica_failure.get("status") == "True":
        reasons.append(_condition_text(replica_failure))
    if availability.get("status") != "True":
        reasons.append(f"{available} of {desired} Pods are available")
    elif old > 0 or updated < desired or available < desired:
        reasons.append(f"{updated} of {desired} Pods are updated, {available} are available, {max(old, 0)} old Pods remain")
    return Readiness(ready=False, status=f"Waiting for Pods ({available}/{desired} available)", reasons=reasons)


def _deployment_pods(cluster: Cluster, obj: Object) -> list[str]:
    sets = owned(cluster.list("apps/v1", "ReplicaSet", objects.namespace(obj)), obj)
    current = [one for one in sets if objects.annotation(one, _REVISION) == objects.annotation(obj, _REVISION)]
    return problems_of_all(cluster, [pod for one in current for pod in pods_of(cluster, one)])


def _stateful_set(_cluster: Cluster, obj: Object) -> Readiness:
    desired, ready = number(obj, "spec", "replicas", default=1), number(obj, "status", "readyReplicas")
    old, new = objects.text(obj, "status", "currentRevision"), objects.text(obj, "status", "updateRevision")
    partition = number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    replaces_pods = objects.text(obj, "spec", "updateStrategy", "type") != "OnDelete" and not partition
    rolled_out = (
        not replaces_pods
        or (old == new and number(obj, "status", "updatedReplicas", default=desired) >= desired)
        or desired == 0
    )
    if observed(obj) and rolled_out and ready >= desired:
        return Readiness(ready=True)
    reasons: list[str] = []
    if ready < desired:
        reasons.append(f"{ready} of {desired} Pods are ready")
    if not rolled_out:
        reasons.append(f"its Pods still have revision {old} instead of {new}")
    return Readiness(ready=False, status=f"Waiting for Pods ({ready}/{desired} ready)", reasons=reasons)


def _daemon_set(_cluster: Cluster, obj: Object) -> Readiness:
    desired = number(obj, "status", "desiredNumberScheduled")
    updated, available = number(obj, "status", "updatedNumberScheduled"), number(obj, "status", "numberAvailable")
    replaces_pods = objects.text(obj, "spec", "updateStrategy", "type") != "OnDelete"
    if observed(obj) and available >= desired and (updated >= desired or not replaces_pods):
        return Readiness(ready=True)
    status = f"Waiting for Pods ({available}/{desired} available)"
    return Readiness(ready=False, status=status, reasons=[f"{available} of {desired} Pods are available"])


def _pods(cluster: Cluster, obj: Object) -> list[str]:
    """Returns the problems of a controller's pods.

    If there are no pods, returns why the controller cannot create any (quota, Pod Security). Only its events contain this.
    """
    pods = pods_of(cluster, obj)
    if pods:
        return problems_of_all(cluster, pods)
    selector = f"involvedObject.uid={objects.text(obj, 'metadata', 'uid')},type=Warning"
    events = cluster.list("v1", "Event", objects.namespace(obj), fieldSelector=selector)
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"[{event.get('reason')}] {event.get('message')}" for event in events[-1:]]


def _job(_cluster: Cluster, obj: Object) -> Readiness:
    if condition(obj, "Complete").get("status") == "True" or objects.at(obj, "spec", "suspend") is True:
        return Readiness(ready=True)
    failed = condition(obj, "Failed")
    active, desired = number(obj, "status", "active"), number(obj, "spec", "completions", default=1)
    status = f"Waiting for Pods ({number(obj, 'status', 'succeeded')}/{desired} done, {active} running)"
    return Readiness(ready=False, status=status, failed=failed.get("status") == "True")


def _job_problems(cluster: Cluster, obj: Object) -> list[str]:
    failed = condition(obj, "Failed")
    return [*_pods(cluster, obj), *([_condition_text(failed)] if failed.get("status") == "True" else [])]


def _pod(_cluster: Cluster, obj: Object) -> Readiness:
    failed = objects.text(obj, "status", "phase") == "Failed"
    return Readiness(ready=is_ready(obj), status="Waiting for Pod to be ready", failed=failed)


def _replication_controller(_cluster: Cluster, obj: Object) -> Readiness:
    desired, available = number(obj, "spec", "replicas", default=1), number(obj, "status", "availableReplicas")
    status = f"Waiting for Pods ({available}/{desired} available)"
    return Readiness(
        ready=observed(obj) and available >= desired, status=status, reasons=[f"{available} of {desired} Pods are available"]
    )


CHECKS: Final = {
    ("apps", "Deployment"): ReadinessCheck(_deployment, _deployment_pods),
    ("apps", "StatefulSet"): ReadinessCheck(_stateful_set, _pods),
    ("apps", "DaemonSet"): ReadinessCheck(_daemon_set, _pods),
    ("batch", "Job"): ReadinessCheck(_job, _job_problems),
    ("", "Pod"): ReadinessCheck(_pod, problems),
    ("", "ReplicationController"): ReadinessCheck(_replication_controller, _pods, on_refresh=False),
}
