"""Rules over everything that every stack file declares: before its first release and after it, in updates and in previews.

In a preview some values are unknown. A rule about values asks those that are known.
"""

from __future__ import annotations

import json
import re
from functools import cache

import pytest

from tests.checkout import CHECKOUT, STACK_FILES
from tests.harness import UNKNOWN, Secret, run_stack
from tests.pods import pods
from tests.releases import run_released

STACKS = sorted(path.name.split(".")[1] for path in STACK_FILES.glob("Pulumi.*.yaml"))
BY_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@cache
def declared_by(stack, released, *, preview):
    if released:
        return run_released(stack, preview=preview)
    return run_stack(stack, replaced={"releases": {}}, preview=preview)


CASES = [(stack, released, preview) for stack in STACKS for released in (False, True) for preview in (False, True)]
NAMES = [
    f"{'preview' if preview else 'update'} of {stack}, {'' if released else 'not '}released"
    for stack, released, preview in CASES
]


@pytest.fixture(params=CASES, ids=NAMES)
def declared(request):
    stack, released, preview = request.param
    return declared_by(stack, released, preview=preview)


def test_every_resource_belongs_to_a_component(declared):
    orphans = [resource.name for resource in declared.resources if resource.custom and not resource.parent]
    assert not orphans, f"outside a component nobody knows what they are for: {orphans}"


def test_every_object_goes_to_the_cluster_of_the_stack(declared):
    strays = [
        resource.name
        for resource in declared.resources
        if resource.type.startswith("kubernetes:") and resource.provider != "cluster-provider"
    ]
    assert not strays, f"the default provider talks to whichever cluster somebody used last: {strays}"


def test_every_object_has_a_name_of_its_own_and_a_namespace(declared):
    for resource in declared.resources:
        if resource.type.startswith("kubernetes:"):
            metadata = resource.inputs["metadata"]
            assert metadata.get("name"), f"{resource.name}: a random name cannot be referred to by people"
            if not resource.type.endswith(":Namespace"):
                assert metadata.get("namespace") in {"tracking", "training", "serving"}, (
                    f"{resource.name} is in no place of ours"
                )


def test_no_two_objects_are_the_same_in_the_cluster(declared):
    keys = [
        (resource.type, resource.inputs["metadata"].get("namespace"), resource.inputs["metadata"]["name"])
        for resource in declared.resources
        if resource.type.startswith("kubernetes:")
    ]
    assert len(keys) == len(set(keys)), "the second would overwrite the first"


def test_no_password_is_written_down_in_plain(declared):
    def plain_text(value):
        match value:
            case Secret():
                return ""
            case dict():
                return " ".join(map(plain_text, value.values()))
            case list():
                return " ".join(map(plain_text, value))
            case _:
                return str(value)

    leaks = [resource.name for resource in declared.resources if "password of" in plain_text(resource.inputs)]
    assert not leaks, f"these would show a password in every diff and state file: {leaks}"
    assert "password of" not in plain_text(declared.outputs), "an output in plain is printed after every update"


def test_every_secret_object_is_secret(declared):
    for secret in declared.all("Secret"):
        assert isinstance(secret.inputs["stringData"], Secret), f"{secret.name} holds its data in plain"


def test_every_image_is_pulled_by_digest(declared):
    images = {
        container["image"] for _, pod in pods(declared) for container in pod["containers"] + pod.get("initContainers", [])
    }
    tags = [image for image in images - {UNKNOWN} if not BY_DIGEST.search(image)]
    assert not tags, f"a tag may be something else tomorrow: {tags}"


def test_every_container_is_bounded(declared):
    for resource, pod in pods(declared):
        for container in pod["containers"] + pod.get("initContainers", []):
            resources = container["resources"]
            assert resources["limits"]["memory"] == resources["requests"]["memory"], (
                f"{resource.name}: memory that was not promised is taken from somebody else's pod"
            )
            assert resources["requests"]["cpu"], f"{resource.name}: the scheduler must know what it needs"


def test_every_pod_is_restricted(declared):
    for resource, pod in pods(declared):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, resource.name
        assert security["runAsUser"] > 0, resource.name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, resource.name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), resource.name
        kinds = {key for volume in pod.get("volumes", []) for key in volume if key != "name"}
        assert kinds <= {"emptyDir", "persistentVolumeClaim", "secret", "configMap", "projected"}, resource.name
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, resource.name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, resource.name
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, resource.name
            assert not [port for port in container.get("ports", []) if "hostPort" in port], resource.name


def test_no_pod_holds_a_key_to_the_cluster(declared):
    holders = [resource.name for resource, pod in pods(declared) if pod.get("automountServiceAccountToken") is not False]
    assert not holders, f"none of them talks to the API: {holders}"


def test_every_server_says_when_it_is_ready(declared):
    for resource, pod in pods(declared):
        if not resource.type.endswith("Job"):
            for container in pod["containers"]:
                assert {"readinessProbe", "livenessProbe"} <= container.keys(), f"{resource.name} would get requests too early"


def test_writable_folders_in_memory_of_the_node_have_a_size(declared):
    for resource, pod in pods(declared):
        unbounded = [v["name"] for v in pod.get("volumes", []) if "emptyDir" in v and not v["emptyDir"].get("sizeLimit")]
        assert not unbounded, f"{resource.name} could fill the node's disk through {unbounded}"


def test_every_namespace_enforces_restricted_pods(declared):
    namespaces = declared.all("Namespace")
    enforced = [n.inputs["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") for n in namespaces if n.custom]
    assert enforced == ["restricted"] * 3


def test_no_two_services_open_the_same_node_port(declared):
    ports = [
        port["nodePort"]
        for service in declared.all("Service")
        for port in service.inputs["spec"]["ports"]
        if port.get("nodePort")
    ]
    assert len(ports) == len(set(ports)), "Kubernetes refuses the second one, in the middle of an update"


def test_every_claim_of_a_pod_is_declared_in_its_namespace(declared):
    claims = {(c.inputs["metadata"]["namespace"], c.inputs["metadata"]["name"]) for c in declared.all("PersistentVolumeClaim")}
    for resource, pod in pods(declared):
        used = {v["persistentVolumeClaim"]["claimName"] for v in pod.get("volumes", []) if "persistentVolumeClaim" in v}
        assert {(resource.inputs["metadata"]["namespace"], claim) for claim in used} <= claims, resource.name


def test_nothing_of_this_machine_is_declared(declared):
    for resource in declared.resources:
        text = json.dumps(resource.inputs, default=str)
        assert str(CHECKOUT) not in text, f"{resource.name}: another checkout would see a change where there is none"
