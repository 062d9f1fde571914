"""Why a pod is not ready, in words: what the scheduler, the kubelet and the container itself say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object

_LOG_LINES: Final = 10
_PODS: Final = 5
"""More pods of one workload fail for the same reason."""
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})


def condition(obj: Object, kind: str) -> Object:
    """The status condition of this type, empty when there is none."""
    found = [one for one in objects.items(obj, "status", "conditions") if one.get("type") == kind]
    return found[0] if found else {}


def owned(candidates: list[Object], owner: Object) -> list[Object]:
    """Those that `owner` controls."""
    uid = objects.text(owner, "metadata", "uid")
    return [
        one for one in candidates if any(ref.get("uid") == uid for ref in objects.items(one, "metadata", "ownerReferences"))
    ]


def pods_of(cluster: Cluster, owner: Object) -> list[Object]:
    """The pods that a controller made, the newest first."""
    listed = cluster.list("v1", "Pod", objects.namespace(owner))
    return sorted(owned(listed, owner), key=lambda pod: objects.text(pod, "metadata", "creationTimestamp"), reverse=True)


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True" or objects.text(pod, "status", "phase") == "Succeeded"


def problems_of_all(cluster: Cluster, pods: list[Object]) -> list[str]:
    """Why these pods are not ready, one of each kind of reason first come."""
    return [problem for pod in [one for one in pods if not is_ready(one)][:_PODS] for problem in problems(cluster, pod)]


def problems(cluster: Cluster, pod: Object) -> list[str]:
    """Why this pod is not ready. One text tells all that a condition has to say; finished containers have one of their own."""
    title = f"[Pod {objects.name(pod)}]: "
    found: list[str] = []
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        found.append(f"{title}[{scheduled.get('reason')}] {scheduled.get('message')}")
        return found
    if objects.text(pod, "status", "reason"):
        found.append(f"{title}[{objects.text(pod, 'status', 'reason')}] {objects.text(pod, 'status', 'message')}")
    for kind, statuses in (("Initialized", "initContainerStatuses"), ("Ready", "containerStatuses")):
        unmet = condition(pod, kind)
        if unmet.get("status") != "False" or unmet.get("reason") == "PodCompleted":
            continue
        if kind == "Ready" and found:
            break  # what keeps the init containers keeps all others
        told = [_waiting(cluster, pod, status) for status in objects.items(pod, "status", statuses)]
        details = [detail for detail in told if detail] or _events(cluster, pod)
        found.append(title + " -- ".join([str(unmet.get("message") or f"not {kind}"), *details]))
        found += [
            title + text for status in objects.items(pod, "status", statuses) if (text := _finished(cluster, pod, status))
        ]
    return found


def _waiting(cluster: Cluster, pod: Object, status: Object) -> str:
    """What a container waits for; when it has run before, or runs and is not ready, its last words as well."""
    if status.get("ready") is True or isinstance(objects.at(status, "state", "terminated"), dict):
        return ""
    ended = isinstance(objects.at(status, "lastState", "terminated"), dict)
    reason = objects.text(status, "state", "waiting", "reason")
    if isinstance(objects.at(status, "state", "running"), dict):
        # Between two crashes it runs for a while: the reason is in the log of the one before.
        restarts = f"[Restarted] {objects.number(status, 'restartCount')} times"
        message = restarts if ended else " ".join(_events(cluster, pod)) or "[NotReady] it runs"
    elif reason in _STARTING:
        return ""
    else:
        message = f"[{reason}] {objects.text(status, 'state', 'waiting', 'message')}".rstrip()
        if not ended:
            return message
    return f"{message}{_exit(status, 'lastState') if ended else ''}{_log(cluster, pod, status, previous=ended)}"


def _exit(status: Object, state: str) -> str:
    code, reason = objects.at(status, state, "terminated", "exitCode"), objects.text(status, state, "terminated", "reason")
    return f" (exit code {code}{f', {reason}' if reason not in {'', 'Error', 'Completed'} else ''})"


def _finished(cluster: Cluster, pod: Object, status: Object) -> str:
    ended = objects.at(status, "state", "terminated")
    if not isinstance(ended, dict) or objects.number(status, "state", "terminated", "exitCode") == 0:
        return ""
    code, reason = objects.at(status, "state", "terminated", "exitCode"), objects.text(status, "state", "terminated", "reason")
    why = f" ({reason})" if reason not in {"", "Error"} else ""
    message = objects.text(status, "state", "terminated", "message")
    tail = _log(cluster, pod, status, previous=False)
    return f'container "{status.get("name")}" ended with exit code {code}{why}{f": {message}" if message else ""}{tail}'


def _log(cluster: Cluster, pod: Object, status: Object, *, previous: bool) -> str:
    name = str(status.get("name"))
    lines = cluster.log(pod, name, _LOG_LINES, previous=previous) or (
        previous and cluster.log(pod, name, _LOG_LINES, previous=False)
    )
    return f'\nlast lines of container "{name}":\n' + "\n".join(f"  {line}" for line in lines.splitlines()) if lines else ""


def _events(cluster: Cluster, pod: Object) -> list[str]:
    """The last warning about the pod: a probe that fails, a volume that cannot be mounted."""
    selector = f"involvedObject.uid={objects.text(pod, 'metadata', 'uid')},type=Warning"
    try:
        events = cluster.list("v1", "Event", objects.namespace(pod), fieldSelector=selector)
    except Failed:
        return []
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"[{event.get('reason')}] {event.get('message')}" for event in events[-1:]]
