"""A node and what can be asked of it."""

from __future__ import annotations

import time
from contextlib import contextmanager

import yaml
from kubernetes import client, config

from local.node.lifecycle.status import status

NOBODY_SPECIAL = {"runAsUser": 10001, "runAsGroup": 0, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def step(self, _name):
        yield self

    def advance(self, done, total=None):
        pass

    def note(self, text):
        pass


def until(holds, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)
    return result


class Cluster:
    """A node and a client of it."""

    def __init__(self, which, kubeconfig):
        self.config = which
        self.api = config.new_client_from_config_dict(yaml.safe_load(kubeconfig))
        self.core = client.CoreV1Api(self.api)

    @property
    def ready(self):
        return status(self.config).ready

    def image(self):
        return f"localhost:{self.config.registry_port}/base:bookworm"

    def claim(self, namespace, name, mode="ReadWriteMany"):
        spec = {"accessModes": [mode], "resources": {"requests": {"storage": "10Mi"}}}
        self.core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": name}, "spec": spec})

    def pod(self, namespace, name, script, claim=None, restart="Never"):
        """A pod that a restricted namespace takes."""
        container = {"name": "main", "image": self.image(), "command": ["bash", "-ec", script], "securityContext": CONFINED}
        spec = {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": NOBODY_SPECIAL,
            "containers": [container],
        }
        if claim:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        self.core.create_namespaced_pod(namespace, {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})

    def phase(self, namespace, name):
        return self.core.read_namespaced_pod(name, namespace).status.phase

    def ended(self, namespace, name):
        """The log of a pod that has ended well."""
        phase = until(lambda: (p := self.phase(namespace, name)) in {"Succeeded", "Failed"} and p, f"pod {name} ends")
        log = self.core.read_namespaced_pod_log(name, namespace)
        assert phase == "Succeeded", log
        return log

    @contextmanager
    def namespace(self, name):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": name, "labels": labels}})
        # Pods are refused until the namespace's account is there.
        until(lambda: self.core.list_namespaced_service_account(name).items, "the namespace is furnished")
        try:
            yield name
        finally:
            self.core.delete_namespace(name)

            def gone():
                return name not in {item.metadata.name for item in self.core.list_namespace().items}

            until(gone, f"namespace {name} is gone", 90)
