"""When Deployments, StatefulSets, DaemonSets, Jobs and Pods are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from local.plugins.kubernetes.manifests import objects
from local.plugins.kubernetes.manifests.objects import number
from local.plugins.kubernetes.readiness.pods import condition, is_ready, owned, pods_of, problems, problems_of_all
from local.plugins.kubernetes.readiness.waiting import Judge, Readiness

if TYPE_CHECKING:
    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object

_REVISION: Final = "deployment.kubernetes.io/revision"


def observed(obj: Object) -> bool:
    """Whether the controller has seen the latest change."""
    return number(obj, "status", "observedGeneration") >= number(obj, "metadata", "generation")


def _told(one: Object) -> str:
    return f"[{one.get('reason')}] {one.get('message')}"


def _deployment(_cluster: Cluster, obj: Object) -> Readiness:
    want = number(obj, "spec", "replicas", default=1)
    updated, available = number(obj, "status", "updatedReplicas"), number(obj, "status", "availableReplicas")
    progressing, has = condition(obj, "Progressing"), condition(obj, "Available")
    seen = observed(obj) and (bool(objects.annotation(obj, _REVISION)) or want == 0)
    old = number(obj, "status", "replicas") - updated
    rolled = progressing.get("reason") == "NewReplicaSetAvailable" or not progressing
    if seen and has.get("status") == "True" and rolled and updated >= want and available >= want and old <= 0:
        return Readiness(ready=True)
    reasons = [_told(one) for one in (progressing, has) if one.get("status") == "False"]
    refused = condition(obj, "ReplicaFailure")
    if refused.get("status") == "True":
        reasons.append(_told(refused))
    if has.get("status") != "True":
        reasons.append(f"{available} of {want} Pods are available")
    elif old > 0 or updated < want or available < want:
        reasons.append(f"{updated} of {want} Pods are new, {available} available, {max(old, 0)} old ones remain")
    return Readiness(ready=False, status=f"Waiting for Pods ({available}/{want} available)", reasons=reasons)


def _deployment_pods(cluster: Cluster, obj: Object) -> list[str]:
    sets = owned(cluster.list("apps/v1", "ReplicaSet", objects.namespace(obj)), obj)
    current = [one for one in sets if objects.annotation(one, _REVISION) == objects.annotation(obj, _REVISION)]
    return problems_of_all(cluster, [pod for one in current for pod in pods_of(cluster, one)])


def _stateful_set(_cluster: Cluster, obj: Object) -> Readiness:
    want, ready = number(obj, "spec", "replicas", default=1), number(obj, "status", "readyReplicas")
    old, new = objects.text(obj, "status", "currentRevision"), objects.text(obj, "status", "updateRevision")
    partition = number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    rolls = objects.text(obj, "spec", "updateStrategy", "type") != "OnDelete" and not partition
    reached = not rolls or (old == new and number(obj, "status", "updatedReplicas", default=want) >= want) or want == 0
    if observed(obj) and reached and ready >= want:
        return Readiness(ready=True)
    reasons: list[str] = []
    if ready < want:
        reasons.append(f"{ready} of {want} Pods are ready")
    if not reached:
        reasons.append(f"its Pods are still of revision {old}, not of {new}")
    return Readiness(ready=False, status=f"Waiting for Pods ({ready}/{want} ready)", reasons=reasons)


def _daemon_set(_cluster: Cluster, obj: Object) -> Readiness:
    want = number(obj, "status", "desiredNumberScheduled")
    updated, available = number(obj, "status", "updatedNumberScheduled"), number(obj, "status", "numberAvailable")
    updates = objects.text(obj, "spec", "updateStrategy", "type") != "OnDelete"
    if observed(obj) and available >= want and (updated >= want or not updates):
        return Readiness(ready=True)
    status = f"Waiting for Pods ({available}/{want} available)"
    return Readiness(ready=False, status=status, reasons=[f"{available} of {want} Pods are available"])


def _pods(cluster: Cluster, obj: Object) -> list[str]:
    """Pods of a controller, or why it may not make any (quota, Pod Security): only its events tell."""
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
    active, want = number(obj, "status", "active"), number(obj, "spec", "completions", default=1)
    status = f"Waiting for Pods ({number(obj, 'status', 'succeeded')}/{want} done, {active} running)"
    return Readiness(ready=False, status=status, failed=failed.get("status") == "True")


def _job_problems(cluster: Cluster, obj: Object) -> list[str]:
    failed = condition(obj, "Failed")
    return [*_pods(cluster, obj), *([_told(failed)] if failed.get("status") == "True" else [])]


def _pod(_cluster: Cluster, obj: Object) -> Readiness:
    failed = objects.text(obj, "status", "phase") == "Failed"
    return Readiness(ready=is_ready(obj), status="Waiting for Pod to be ready", failed=failed)


def _replication_controller(_cluster: Cluster, obj: Object) -> Readiness:
    want, available = number(obj, "spec", "replicas", default=1), number(obj, "status", "availableReplicas")
    status = f"Waiting for Pods ({available}/{want} available)"
    return Readiness(
        ready=observed(obj) and available >= want, status=status, reasons=[f"{available} of {want} Pods are available"]
    )


JUDGES: Final = {
    ("apps", "Deployment"): Judge(_deployment, _deployment_pods),
    ("apps", "StatefulSet"): Judge(_stateful_set, _pods),
    ("apps", "DaemonSet"): Judge(_daemon_set, _pods),
    ("batch", "Job"): Judge(_job, _job_problems),
    ("", "Pod"): Judge(_pod, problems),
    ("", "ReplicationController"): Judge(_replication_controller, _pods, read=False),
}
