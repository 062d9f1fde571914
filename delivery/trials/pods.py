"""Reads metrics and recorded answers from every pod of an endpoint's variants.

Sends requests to the pods and not to their Service, because a Service would pass each request to any one of its pods.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import TypeAdapter

from clients.kubernetes import ApiError, list_at, text_at
from common import naming
from common.errors import UserError
from common.labels import ROLE_LABEL, VERSION_LABEL, WORKLOAD_LABEL
from common.serving import METRICS_PATH, METRICS_PORT, RECORDED_PATH, RECORDED_PORT
from delivery.trials.figures import RESTARTS, STARTED, Reading, parse
from delivery.trials.pairs import RecordedAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clients.kubernetes import Object
    from delivery.environments.environment import Environment

_PARALLEL_REQUESTS: Final = 8
_RECORDED_ANSWERS: Final = TypeAdapter(list[RecordedAnswer])


class PodClient(Protocol):
    """The part of a cluster's client that lists pods and sends requests to them. See `clients.kubernetes.KubernetesClient`."""

    def items(self, path: str, params: Mapping[str, str] | None = None) -> list[Object]: ...
    def get_from_pod(self, namespace: str, pod: str, port: int, path: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of one endpoint."""

    cluster: PodClient
    namespace: str
    workload: str

    @classmethod
    def from_environment(cls, environment: Environment, workload: str) -> Pods:
        """Creates the object for a workload's pods in an environment."""
        namespace = naming.namespace(environment.settings.cluster.namespace_prefix, naming.SERVING)
        return cls(cluster=environment.cluster, namespace=namespace, workload=workload)

    def readings(self, role: str, version: int) -> list[Reading]:
        """Reads the metrics of a variant's services, and the numbers of container restarts from Kubernetes.

        Skips services that do not answer: they are starting or ending.

        Raises:
            UserError: the user's role does not allow requests to pods.
        """
        pods = self._pods(role, version)
        readings = [Reading(source=text_at(pod, "metadata", "uid"), counters={RESTARTS: _restarts(pod)}) for pod in pods]
        for pod, text in self._responses(pods, METRICS_PORT, METRICS_PATH):
            counters = parse(text)
            source = f"{text_at(pod, 'metadata', 'uid')} {counters.pop(STARTED, 0.0)}"
            readings.append(Reading(source=source, counters=counters))
        return readings

    def recorded(self, role: str, version: int) -> list[RecordedAnswer]:
        """Reads the answers that the pods of a variant have recorded.

        Raises:
            UserError: the user's role does not allow requests to pods.
        """
        responses = self._responses(self._pods(role, version), RECORDED_PORT, RECORDED_PATH)
        return [answer for _, text in responses for answer in _RECORDED_ANSWERS.validate_json(text)]

    def _pods(self, role: str, version: int) -> list[Object]:
        labels = {WORKLOAD_LABEL: self.workload, ROLE_LABEL: role, VERSION_LABEL: version}
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return self.cluster.items(f"/api/v1/namespaces/{self.namespace}/pods", {"labelSelector": selector})

    def _responses(self, pods: Sequence[Object], port: int, path: str) -> list[tuple[Object, str]]:
        """Sends a GET request to every running pod. Returns the pods that answer, each with the body of its response."""
        running = [pod for pod in pods if text_at(pod, "status", "phase") == "Running"]
        names = [text_at(pod, "metadata", "name") for pod in running]
        with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
            bodies = pool.map(partial(self._get, port, path), names)
        return [(pod, body) for pod, body in zip(running, bodies, strict=True) if body is not None]

    def _get(self, port: int, path: str, pod: str) -> str | None:
        try:
            return self.cluster.get_from_pod(self.namespace, pod, port, path)
        except ApiError as error:
            # Only the API server gives a reason. A refusal without a reason says nothing about the user's role: if the pod has
            # just ended, another pod that has its address now, or a proxy of the network, may have answered.
            if error.reason == "Forbidden":
                fix = f"ask for a role in namespace {self.namespace} that allows `get` on `pods/proxy`"
                raise UserError("Your role does not allow requests to pods.", found=error, fix=fix) from None
            return None


def _restarts(pod: Object) -> float:
    return sum(float(status.get("restartCount", 0)) for status in list_at(pod, "status", "containerStatuses"))
