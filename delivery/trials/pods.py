"""The pods of an endpoint's variants, asked one by one: a Service would answer for any of them."""

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
from delivery.trials.pairs import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clients.kubernetes import Object
    from delivery.environments.environment import Environment

_AT_ONCE: Final = 8
_RECORDED: Final = TypeAdapter(list[Recorded])


class PodClient(Protocol):
    """A cluster, as far as pods are asked. See `clients.kubernetes.KubernetesClient`."""

    def items(self, path: str, params: Mapping[str, str] | None = None) -> list[Object]: ...
    def get_from_pod(self, namespace: str, pod: str, port: int, path: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Pods:
    """The pods of one endpoint."""

    cluster: PodClient
    namespace: str
    workload: str

    @classmethod
    def of(cls, environment: Environment, workload: str) -> Pods:
        """Those of a workload in a stack."""
        namespace = naming.namespace(environment.settings.cluster.namespace_prefix, naming.SERVING)
        return cls(cluster=environment.cluster, namespace=namespace, workload=workload)

    def readings(self, role: str, version: int) -> list[Reading]:
        """What the services of a variant tell of themselves, and Kubernetes of their containers.

        Services that do not answer are left out: they have just been started, or are about to end.
        """
        pods = self._pods(role, version)
        told = self._asked(pods, METRICS_PORT, METRICS_PATH)
        found = [Reading(source=text_at(pod, "metadata", "uid"), counters={RESTARTS: _restarts(pod)}) for pod in pods]
        for pod, text in told:
            counters = parse(text)
            source = f"{text_at(pod, 'metadata', 'uid')} {counters.pop(STARTED, 0.0)}"
            found.append(Reading(source=source, counters=counters))
        return found

    def recorded(self, role: str, version: int) -> list[Recorded]:
        """The answers that the pods of a variant keep."""
        told = self._asked(self._pods(role, version), RECORDED_PORT, RECORDED_PATH)
        return [answer for _, text in told for answer in _RECORDED.validate_json(text)]

    def _pods(self, role: str, version: int) -> list[Object]:
        labels = {WORKLOAD_LABEL: self.workload, ROLE_LABEL: role, VERSION_LABEL: version}
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return self.cluster.items(f"/api/v1/namespaces/{self.namespace}/pods", {"labelSelector": selector})

    def _asked(self, pods: Sequence[Object], port: int, path: str) -> list[tuple[Object, str]]:
        running = [pod for pod in pods if text_at(pod, "status", "phase") == "Running"]
        names = [text_at(pod, "metadata", "name") for pod in running]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(partial(self._ask, port, path), names)
        return [(pod, text) for pod, text in zip(running, answers, strict=True) if text is not None]

    def _ask(self, port: int, path: str, pod: str) -> str | None:
        try:
            return self.cluster.get_from_pod(self.namespace, pod, port, path)
        except ApiError as error:
            # For a pod that has just ended somebody else may answer: who has its address now, or the network's proxy.
            if error.reason == "Forbidden":
                fix = f"have a role in namespace {self.namespace} that may `get` pods/proxy"
                raise UserError("You may not ask pods through the API server.", found=error, fix=fix) from None
            return None


def _restarts(pod: Object) -> float:
    return sum(float(status.get("restartCount", 0)) for status in list_at(pod, "status", "containerStatuses"))
