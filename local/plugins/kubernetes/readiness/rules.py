"""When objects other than workloads are ready, and which judge an object gets: its kind's or its annotations'."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects
from local.plugins.kubernetes.manifests.objects import annotation, flagged, text
from local.plugins.kubernetes.readiness import workloads
from local.plugins.kubernetes.readiness.pods import condition
from local.plugins.kubernetes.readiness.waiting import Judge, Readiness
from local.plugins.protocol.messages import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.plugins.kubernetes.cluster import Cluster
    from local.plugins.protocol.values import Object, Value


def _service(cluster: Cluster, obj: Object) -> Readiness:
    kind = text(obj, "spec", "type") or "ClusterIP"
    if kind == "ExternalName" or text(obj, "spec", "clusterIP") == "None":
        return Readiness(ready=True)
    reasons: list[str] = []
    if objects.at(obj, "spec", "selector") and not _has_endpoints(cluster, obj):
        reasons.append(
            "it has no endpoints: no Pod bears the labels of its selector, or none of those that do has an address yet"
        )
    if kind == "LoadBalancer" and not objects.items(obj, "status", "loadBalancer", "ingress"):
        reasons.append("its load balancer has no address: nothing in this cluster has made one")
    return Readiness(ready=not reasons, status="Waiting for endpoints", reasons=reasons)


def _has_endpoints(cluster: Cluster, service: Object) -> bool:
    selector = f"kubernetes.io/service-name={objects.name(service)}"
    slices = cluster.list("discovery.k8s.io/v1", "EndpointSlice", objects.namespace(service), labelSelector=selector)
    return any(objects.items(one, "endpoints") for one in slices)


def _claim(cluster: Cluster, obj: Object) -> Readiness:
    phase = text(obj, "status", "phase")
    if phase == "Bound" or (phase == "Pending" and _waits_for_consumer(cluster, obj)):
        return Readiness(ready=True)
    return Readiness(ready=False, status=f"Waiting for the claim to be bound (now {phase or 'new'})", failed=phase == "Lost")


def _waits_for_consumer(cluster: Cluster, claim: Object) -> bool:
    """Whether its volume is only made for the first pod: waiting for it would be waiting forever."""
    wanted = text(claim, "spec", "storageClassName")
    if not wanted:
        return False
    found = cluster.find({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": wanted}})
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def _claim_problems(cluster: Cluster, obj: Object) -> list[str]:
    selector = f"involvedObject.uid={text(obj, 'metadata', 'uid')}"
    events = cluster.list("v1", "Event", objects.namespace(obj), fieldSelector=selector)
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    told = [f"[{event.get('reason')}] {event.get('message')}" for event in events[-1:]]
    return told or [f"PersistentVolumeClaim is {text(obj, 'status', 'phase')}"]


def _volume(_cluster: Cluster, obj: Object) -> Readiness:
    phase = text(obj, "status", "phase")
    return Readiness(ready=phase in {"Available", "Bound"}, status="Waiting for the volume", reasons=[f"its phase is {phase}"])


def _secret(_cluster: Cluster, obj: Object) -> Readiness:
    ready = obj.get("type") != "kubernetes.io/service-account-token" or bool(obj.get("data"))
    return Readiness(ready=ready, status="Waiting for the token", reasons=["no token was put into it"])


def _quota(_cluster: Cluster, obj: Object) -> Readiness:
    ready = objects.at(obj, "spec", "hard") == objects.at(obj, "status", "hard")
    return Readiness(ready=ready, status="Waiting for the quota to be in force", reasons=["the quota is not in force"])


def _ingress(_cluster: Cluster, obj: Object) -> Readiness:
    ready = bool(objects.items(obj, "status", "loadBalancer", "ingress"))
    reason = "no controller has given it an address"
    return Readiness(ready=ready, status="Waiting for an address", reasons=[reason])


def _definition(_cluster: Cluster, obj: Object) -> Readiness:
    refused = [
        f"[{one.get('reason')}] {one.get('message')}"
        for one in (condition(obj, "NamesAccepted"),)
        if one.get("status") == "False"
    ]
    ready = condition(obj, "Established").get("status") == "True"
    return Readiness(ready=ready, status="Waiting for the definition to be established", reasons=refused)


def _anything(_cluster: Cluster, obj: Object) -> Readiness:
    """What most controllers do: a condition Ready, and the generation that they have seen."""
    seen = objects.at(obj, "status", "observedGeneration") is None or workloads.observed(obj)
    ready = condition(obj, "Ready")
    reasons = [f"[{ready.get('reason')}] {ready.get('message')}"] if ready else []
    return Readiness(
        ready=seen and ready.get("status", "True") == "True", status="Waiting for condition Ready", reasons=reasons
    )


_JUDGES: Final = {
    **workloads.JUDGES,
    ("", "Service"): Judge(_service),
    ("", "PersistentVolumeClaim"): Judge(_claim, _claim_problems, seconds=300, once=True, read=False),
    ("", "PersistentVolume"): Judge(_volume, seconds=300, once=True, read=False),
    ("", "Secret"): Judge(_secret, seconds=5, once=True, read=False),
    ("", "ResourceQuota"): Judge(_quota, seconds=60, read=False),
    ("networking.k8s.io", "Ingress"): Judge(_ingress),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Judge(_definition, seconds=60, read=False),
}


def judge_of(inputs: Object) -> Judge | None:
    """Who decides when this object is ready; None: it is as soon as it is there.

    Raises:
        Failed: the annotation `pulumi.com/waitFor` cannot be understood.
    """
    if flagged(inputs, objects.SKIP_AWAIT):
        return None
    if asked := annotation(inputs, objects.WAIT_FOR):
        return Judge(_asked(asked), read=False)
    own = _JUDGES.get((objects.group(inputs), objects.kind(inputs)))
    if own is None and os.environ.get("PULUMI_K8S_AWAIT_ALL") == "true":
        return Judge(_anything, read=False)
    return own


def seconds(inputs: Object, given: float, default: float) -> float:
    """How long to wait: the resource option's `custom_timeouts`, else the annotation, else the default of the kind."""
    written = annotation(inputs, objects.TIMEOUT)
    return given or (float(written) if written.isdigit() else default)


def _asked(written: str) -> Callable[[Cluster, Object], Readiness]:
    """The conditions of `pulumi.com/waitFor`: one expression, or a JSON list of which all have to hold."""
    try:
        parsed: Value = json.loads(written)
    except ValueError:
        parsed = written
    expressions = [str(one) for one in cast("list[Value]", parsed)] if isinstance(parsed, list) else [written]
    tests = [(one, _test(one)) for one in expressions]

    def look(_cluster: Cluster, obj: Object) -> Readiness:
        missing = [one for one, holds in tests if not holds(obj)]
        reasons = [*(f"{one} is not met" for one in missing), *_told(obj)]
        return Readiness(ready=not missing, status=f"Waiting for {', '.join(missing)}", reasons=reasons)

    return look


def _told(obj: Object) -> list[str]:
    """What a custom resource's controller says of it, as far as it uses the words that most do."""
    said = [text(obj, "status", word) for word in ("state", "phase", "reason", "description", "message")]
    unmet = [one for one in objects.items(obj, "status", "conditions") if one.get("status") == "False"]
    conditions = [f"[{one.get('reason') or one.get('type')}] {one.get('message') or 'no message'}" for one in unmet]
    status = ": ".join(word for word in said if word)
    return [*([f"its status is {status}"] if status else []), *conditions]


def _test(expression: str) -> Callable[[Object], bool]:
    what, _, rest = expression.partition("=")
    if what == "condition" and rest:
        kind, _, status = rest.partition("=")
        return lambda obj: str(condition(obj, kind).get("status", "")).lower() == (status or "True").lower()
    if what == "jsonpath" and rest.startswith("{"):
        path, _, value = rest.partition("}")
        wanted = value.removeprefix("=").strip("'\"") if value.startswith("=") else None
        return _jsonpath("$" + path.removeprefix("{").removeprefix("$"), wanted, expression)
    raise Failed(f'pulumi.com/waitFor: expected "jsonpath={{...}}" or "condition=...", got "{expression}"')


def _jsonpath(path: str, wanted: str | None, expression: str) -> Callable[[Object], bool]:
    from jsonpath_ng.ext.parser import parse  # noqa: PLC0415, it is slow to import and rarely needed

    try:
        compiled = parse(path)
    except Exception as error:  # the parser raises what it likes
        raise Failed(f'pulumi.com/waitFor: "{expression}" is not a JSONPath: {error}') from error

    def holds(obj: Object) -> bool:
        found: list[Value] = [match.value for match in compiled.find(obj)]
        return bool(found) if wanted is None else any(_shown(value) == wanted for value in found)

    return holds


def _shown(value: Value) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
