"""Explains why a pod is not ready, with the messages of the scheduler, the kubelet and the container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object

_LOG_LINES: Final = 10
_PODS: Final = 5
"""How many pods of one controller are explained. Further pods usually fail for the same reason."""
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})


def condition(obj: Object, kind: str) -> Object:
    """Returns the first status condition of a type, or an empty object if there is none."""
    conditions = [one for one in objects.items(obj, "status", "conditions") if one.get("type") == kind]
    return conditions[0] if conditions else {}


def owned(candidates: list[Object], owner: Object) -> list[Object]:
    """Returns the objects among `candidates` that `owner` owns."""
    uid = objects.text(owner, "metadata", "uid")
    return [
        one for one in candidates if any(ref.get("uid") == uid for ref in objects.items(one, "metadata", "ownerReferences"))
    ]


def pods_of(cluster: Cluster, owner: Object) -> list[Object]:
    """Returns the pods that a controller owns, the newest first."""
    listed = cluster.list("v1", "Pod", objects.namespace(owner))
    return sorted(owned(listed, owner), key=lambda pod: objects.text(pod, "metadata", "creationTimestamp"), reverse=True)


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True" or objects.text(pod, "status", "phase") == "Succeeded"


def problems_of_all(cluster: Cluster, pods: list[Object]) -> list[str]:
    """Returns why pods are not ready, for the first `_PODS` of those that are not."""
    return [problem for pod in [one for one in pods if not is_ready(one)][:_PODS] for problem in problems(cluster, pod)]


def problems(cluster: Cluster, pod: Object) -> list[str]:
    """Returns why a pod is not ready: one text for each unmet condition, and one for each container that has failed."""
    title = f"[Pod {objects.name(pod)}]: "
    texts: list[str] = []
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        texts.append(f"{title}[{scheduled.get('reason')}] {scheduled.get('message')}")
        return texts
    if objects.text(pod, "status", "reason"):
        texts.append(f"{title}[{objects.text(pod, 'status', 'reason')}] {objects.text(pod, 'status', 'message')}")
    for kind, statuses in (("Initialized", "initContainerStatuses"), ("Ready", "containerStatuses")):
        unmet = condition(pod, kind)
        if unmet.get("status") != "False" or unmet.get("reason") == "PodCompleted":
            continue
        if kind == "Ready" and texts:
            break  # containers do not start before all init containers have ended
        reasons = [_waiting_reason(cluster, pod, status) for status in objects.items(pod, "status", statuses)]
        details = [reason for reason in reasons if reason] or _last_warning(cluster, pod)
        texts.append(title + " -- ".join([str(unmet.get("message") or f"not {kind}"), *details]))
        texts += [title + text for status in objects.items(pod, "status", statuses) if (text := _failure(cluster, pod, status))]
    return texts


def _waiting_reason(cluster: Cluster, pod: Object, status: Object) -> str:
    """Returns why a container is not ready; empty if it is ready, has ended or is just starting.

    If the container runs or has run before, the text ends with the last lines of its log.
    """
    if status.get("ready") is True or isinstance(objects.at(status, "state", "terminated"), dict):
        return ""
    ended = isinstance(objects.at(status, "lastState", "terminated"), dict)
    reason = objects.text(status, "state", "waiting", "reason")
    if isinstance(objects.at(status, "state", "running"), dict):
        # A container that crashes repeatedly runs between two crashes. The reason is in the log of the previous run.
        restarts = f"[Restarted] {objects.number(status, 'restartCount')} times"
        message = restarts if ended else " ".join(_last_warning(cluster, pod)) or "[NotReady] it runs but is not ready"
    elif reason in _STARTING:
        return ""
    else:
        message = f"[{reason}] {objects.text(status, 'state', 'waiting', 'message')}".rstrip()
        if not ended:
            return message
    return f"{message}{_exit_text(status, 'lastState') if ended else ''}{_log(cluster, pod, status, previous=ended)}"


def _exit_text(status: Object, state: str) -> str:
    code, reason = objects.at(status, state, "terminated", "exitCode"), objects.text(status, state, "terminated", "reason")
    return f" (exit code {code}{f', {reason}' if reason not in {'', 'Error', 'Completed'} else ''})"


def _failure(cluster: Cluster, pod: Object, status: Object) -> str:
    """Returns how a container ended, with the last lines of its log; empty if it did not end or ended without an error."""
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


def _last_warning(cluster: Cluster, pod: Object) -> list[str]:
    """Returns the last warning about a pod, for example a failing probe or a volume that cannot be mounted."""
    selector = f"involvedObject.uid={objects.text(pod, 'metadata', 'uid')},type=Warning"
    try:
        events = cluster.list("v1", "Event", objects.namespace(pod), fieldSelector=selector)
    except Failed:
        return []
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"[{event.get('reason')}] {event.get('message')}" for event in events[-1:]]
