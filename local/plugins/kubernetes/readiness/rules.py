"""Readiness of other kinds, and the choice of the readiness check for an object, by its kind or its annotations."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects
from local.plugins.kubernetes.manifests.objects import annotation, flagged, text
from local.plugins.kubernetes.readiness import workloads
from local.plugins.kubernetes.readiness.pods import condition
from local.plugins.kubernetes.readiness.waiting import Readiness, ReadinessCheck
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
        reasons.append("it has no endpoints: no Pod has the labels of its selector, or no Pod that has them has an address yet")
    if kind == "LoadBalancer" and not objects.items(obj, "status", "loadBalancer", "ingress"):
        reasons.append("its load balancer has no address: no controller in this cluster has assigned one")
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
    """Returns whether the claim is bound only when the first pod uses it. To wait for that would mean to wait forever."""
    name = text(claim, "spec", "storageClassName")
    if not name:
        return False
    storage_class = cluster.find({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}})
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _claim_problems(cluster: Cluster, obj: Object) -> list[str]:
    selector = f"involvedObject.uid={text(obj, 'metadata', 'uid')}"
    events = cluster.list("v1", "Event", objects.namespace(obj), fieldSelector=selector)
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    last = [f"[{event.get('reason')}] {event.get('message')}" for event in events[-1:]]
    return last or [f"PersistentVolumeClaim is {text(obj, 'status', 'phase')}"]


def _volume(_cluster: Cluster, obj: Object) -> Readiness:
    phase = text(obj, "status", "phase")
    return Readiness(ready=phase in {"Available", "Bound"}, status="Waiting for the volume", reasons=[f"its phase is {phase}"])


def _secret(_cluster: Cluster, obj: Object) -> Readiness:
    ready = obj.get("type") != "kubernetes.io/service-account-token" or bool(obj.get("data"))
    return Readiness(ready=ready, status="Waiting for the token", reasons=["no controller has added a token"])


def _quota(_cluster: Cluster, obj: Object) -> Readiness:
    ready = objects.at(obj, "spec", "hard") == objects.at(obj, "status", "hard")
    return Readiness(ready=ready, status="Waiting for the quota to be in force", reasons=["the quota is not in force"])


def _ingress(_cluster: Cluster, obj: Object) -> Readiness:
    ready = bool(objects.items(obj, "status", "loadBalancer", "ingress"))
    reason = "no controller has assigned an address"
    return Readiness(ready=ready, status="Waiting for an address", reasons=[reason])


def _definition(_cluster: Cluster, obj: Object) -> Readiness:
    reasons = [
        f"[{one.get('reason')}] {one.get('message')}"
        for one in (condition(obj, "NamesAccepted"),)
        if one.get("status") == "False"
    ]
    ready = condition(obj, "Established").get("status") == "True"
    return Readiness(ready=ready, status="Waiting for the definition to be established", reasons=reasons)


def _ready_condition(_cluster: Cluster, obj: Object) -> Readiness:
    """Checks what most controllers report: a condition Ready, and the generation that they have observed."""
    seen = objects.at(obj, "status", "observedGeneration") is None or workloads.observed(obj)
    ready = condition(obj, "Ready")
    reasons = [f"[{ready.get('reason')}] {ready.get('message')}"] if ready else []
    return Readiness(
        ready=seen and ready.get("status", "True") == "True", status="Waiting for condition Ready", reasons=reasons
    )


_CHECKS: Final = {
    **workloads.CHECKS,
    ("", "Service"): ReadinessCheck(_service),
    ("", "PersistentVolumeClaim"): ReadinessCheck(
        _claim, _claim_problems, seconds=300, only_after_creation=True, on_refresh=False
    ),
    ("", "PersistentVolume"): ReadinessCheck(_volume, seconds=300, only_after_creation=True, on_refresh=False),
    ("", "Secret"): ReadinessCheck(_secret, seconds=5, only_after_creation=True, on_refresh=False),
    ("", "ResourceQuota"): ReadinessCheck(_quota, seconds=60, on_refresh=False),
    ("networking.k8s.io", "Ingress"): ReadinessCheck(_ingress),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ReadinessCheck(_definition, seconds=60, on_refresh=False),
}


def readiness_check(inputs: Object) -> ReadinessCheck | None:
    """Returns the readiness check for an object. None means that the object is ready as soon as it exists.

    Raises:
        Failed: the annotation `pulumi.com/waitFor` is not valid.
    """
    if flagged(inputs, objects.SKIP_AWAIT):
        return None
    if wait_for := annotation(inputs, objects.WAIT_FOR):
        return ReadinessCheck(_wait_for(wait_for), on_refresh=False)
    own = _CHECKS.get((objects.group(inputs), objects.kind(inputs)))
    if own is None and os.environ.get("PULUMI_K8S_AWAIT_ALL") == "true":
        return ReadinessCheck(_ready_condition, on_refresh=False)
    return own


def seconds(inputs: Object, timeout: float, default: float) -> float:
    """Returns the timeout: the resource option `custom_timeouts`, else the annotation, else the default of the kind."""
    annotated = annotation(inputs, objects.TIMEOUT)
    return timeout or (float(annotated) if annotated.isdigit() else default)


def _wait_for(value: str) -> Callable[[Cluster, Object], Readiness]:
    """Returns a check for a value of `pulumi.com/waitFor`: one expression, or a JSON list of expressions that must all hold."""
    try:
        parsed: Value = json.loads(value)
    except ValueError:
        parsed = value
    expressions = [str(one) for one in cast("list[Value]", parsed)] if isinstance(parsed, list) else [value]
    tests = [(one, _condition_test(one)) for one in expressions]

    def evaluate(_cluster: Cluster, obj: Object) -> Readiness:
        unmet = [one for one, holds in tests if not holds(obj)]
        reasons = [*(f"{one} is not met" for one in unmet), *_status_reasons(obj)]
        return Readiness(ready=not unmet, status=f"Waiting for {', '.join(unmet)}", reasons=reasons)

    return evaluate


def _status_reasons(obj: Object) -> list[str]:
    """Returns what the controller of a custom resource reports in the status fields that most controllers use."""
    values = [text(obj, "status", key) for key in ("state", "phase", "reason", "description", "message")]
    unmet = [one for one in objects.items(obj, "status", "conditions") if one.get("status") == "False"]
    conditions = [f"[{one.get('reason') or one.get('type')}] {one.get('message') or 'no message'}" for one in unmet]
    status = ": ".join(value for value in values if value)
    return [*([f"its status is {status}"] if status else []), *conditions]


def _condition_test(expression: str) -> Callable[[Object], bool]:
    form, _, rest = expression.partition("=")
    if form == "condition" and rest:
        kind, _, status = rest.partition("=")
        return lambda obj: str(condition(obj, kind).get("status", "")).lower() == (status or "True").lower()
    if form == "jsonpath" and rest.startswith("{"):
        path, _, value = rest.partition("}")
        expected = value.removeprefix("=").strip("'\"") if value.startswith("=") else None
        return _jsonpath("$" + path.removeprefix("{").removeprefix("$"), expected, expression)
    raise Failed(f'pulumi.com/waitFor: expected "jsonpath={{...}}" or "condition=...", got "{expression}"')


def _jsonpath(path: str, expected: str | None, expression: str) -> Callable[[Object], bool]:
    from jsonpath_ng.ext.parser import parse  # noqa: PLC0415, slow to import and rarely needed

    try:
        compiled = parse(path)
    except Exception as error:  # the parser does not document its exceptions
        raise Failed(f'pulumi.com/waitFor: "{expression}" is not a JSONPath: {error}') from error

    def holds(obj: Object) -> bool:
        values: list[Value] = [match.value for match in compiled.find(obj)]
        return bool(values) if expected is None else any(_json_text(value) == expected for value in values)

    return holds


def _json_text(value: Value) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
