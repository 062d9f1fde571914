"""What is in the world of the tests: stack files, states, images, runs, versions and objects."""

from __future__ import annotations

import json
from functools import cache

from common import naming
from common.labels import BACKTESTED_LABEL, ROLE_LABEL, RUN_ANNOTATION, RUN_ARGUMENT, VERSION_LABEL, WORKLOAD_LABEL
from delivery.stacks import stack_file
from infra import live_cluster
from tests.faults.injector import Request, Response
from tests.faults.outside.container_registries import image_digest
from tests.faults.outside.engines import UPDATE
from tests.faults.outside.tracking_servers import TrackedRun
from tests.releases import DIGEST, TRAINER, outputs, release
from tests.reports import large
from tests.unit.delivery.trials.test_watch import metrics, recorded
from workloads import evidence
from workloads.training.registration import PARENT
from workloads.training_run import RUN_TAG

REVISION = "1a2b3c4d5e6f"
VERSIONS = (3, 4, 5)
ROW = {"names": ["price"], "ndarray": [[1.5]]}
HELD_OUT = {"describe": "store 2, week 160", "request": {"data": ROW}, "actual": [100.0], "labels": ["store 2"]}
EMBEDDED = """\
# One person's environment.
config:
  modelstack:cluster: {kind: embedded, apiPort: %d, registryPort: %d}
  modelstack:images: {registry: "localhost:%d", base: "localhost:%d/base:bookworm"}   # both in the node
  modelstack:tracking: {nodePort: 30000}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""
CLUSTERS = {"dev": "00000000-0000-4000-8000-00000000000d", "stage": "00000000-0000-4000-8000-00000000000e"}
"""The UIDs of the clusters. Stage and prod share one."""
OWNERS = {"dev": "the owner of dev", "stage": "the owner of stage", "prod": "the owner of prod"}
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
TIERS = """\
[tiers.dev]
[tiers.stage]
source = "dev"
evidence = true
[tiers.prod]
source = "stage"
evidence = true
approval = true
proven = true
[stacks]
dev = { tier = "dev" }
stage = { tier = "stage", source = "dev" }
prod = { tier = "prod", source = "stage" }
[[targets]]
tier = "dev"
cluster = "embedded"
images = "localhost"
"""
TARGET = """\
[[targets]]
tier = "%s"
cluster = "%s"
context = "shared"
namespace_prefix = "%s"
images = "%s"
"""
EXISTING = """\
# Shared by a team.
config:
  modelstack:cluster: {kind: existing, context: shared, host: c.example, kubeconfig: kubeconfig, namespacePrefix: %s-}
  modelstack:images: {registry: "%s"}
  modelstack:workloads:
    markdown: {nodePort: 30001}
"""


def run_id(version: int) -> str:
    return f"{version:032x}"


@cache
def report() -> bytes:
    return evidence.canonical(large())


@cache
def with_releases(text: str, releases: str) -> str:
    """Returns a stack file with releases, which are JSON. Cached, because editing YAML takes longer than most commands."""
    return stack_file.with_releases(text, "markdown", json.loads(releases))


@cache
def image(version: int) -> str:
    return image_digest(f"markdown version {version}")


def released(version: int):
    figures = {name: round(float(value), 6) for name, value in json.loads(report())["metrics"].items()}
    proof = {"version": version, "data": DIGEST, "report": evidence.digest(report()), "metrics": figures}
    return release(version, run=run_id(version), image=image(version), evidence=proof)


def block(stable: int, *others: int, **roles):
    return {"stable": stable, **roles, "versions": [released(version) for version in sorted({stable, *others})]}


def releases_output(releases):
    """Returns the outputs of an environment that has served all the releases of its stack file."""
    made = outputs(releases)
    made["releases"]["markdown"]["proven"] = [each["image"] for each in releases["versions"]]
    made["releases"]["markdown"]["canary"] = releases.get("canary")
    return made


def kubeconfig(world, stack: str):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "shared",
        "contexts": [{"name": "shared", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://{world.address('API server', stack)}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }


def endpoint(version: int):
    """Returns an endpoint that answers with a version."""
    tags = {"workload": "markdown", "version": version, "run": run_id(version)}

    def answer(request: Request) -> Response:
        rows = len(request.json["data"]["ndarray"])
        return Response({"data": {"names": ["units"], "ndarray": [[90.0]] * rows}, "meta": {"tags": tags}})

    return answer


def fill(world) -> None:
    """Gives the things of a world their content, and writes its stack files."""
    port = world.proxies["container registry of dev"].port
    world.path("dev").write_text(EMBEDDED % (world.proxies["API server of dev"].port, port, port, port))
    for stack in ("stage", "prod"):
        world.path(stack).write_text(EXISTING % (stack, world.address("container registry", stack)))
    for stack, releases in (("dev", block(4, 3)), ("stage", block(3)), ("prod", block(3))):
        resources = [_owner(stack), *([_node(stack)] if stack == "dev" else [])]
        deployment = {"manifest": {}, "resources": resources}
        made = {"outputs": _outputs(world, stack, releases), "deployment": deployment, "history": [_update(releases)]}
        world.backend.states[stack] = made
        world.write(stack, releases)
        _deploy(world, stack, releases["stable"], "stable")
        own(world, stack)
    for version in VERSIONS:
        _register(world.models["dev"], version)
        world.registries["dev"].repository("markdown-serving").add_image(f"markdown version {version}")
    world.registries["stage"].repository("markdown-serving").add_image("markdown version 3")
    _register(world.models["stage"], 3)
    for stack, cluster in world.clusters.items():
        cluster.add(KUBE_SYSTEM, metadata={"uid": CLUSTERS[stack]})


def tiers(world) -> str:
    """Returns the text of a file with the tiers and with the targets of the world's stacks."""
    registry = world.address("container registry", "stage")
    targets = [TARGET % (stack, CLUSTERS["stage"], prefix(stack), registry) for stack in ("stage", "prod")]
    return "".join([TIERS, *targets])


def prefix(stack: str) -> str:
    """Returns the prefix of the stack's namespaces."""
    return "" if stack == "dev" else f"{stack}-"


def owner_path(stack: str) -> str:
    """Returns the path of the ConfigMap that names the owner of an environment."""
    return f"/api/v1/namespaces/{prefix(stack)}tracking/configmaps/{live_cluster.OWNER_CONFIG_MAP}"


def secret_path(stack: str) -> str:
    """Returns the path of the Secret with the database's password."""
    return f"/api/v1/namespaces/{prefix(stack)}tracking/secrets/{live_cluster.DATABASE_SECRET}"


def own(world, stack: str) -> None:
    """Makes the stack the owner of its environment, as its state says, too."""
    cluster = world.clusters["dev" if stack == "dev" else "stage"]
    data = {"id": OWNERS[stack], "backend": "s3://states", "project": "modelstack", "stack": stack}
    cluster.add(owner_path(stack), data=data)
    cluster.add(secret_path(stack))


def _register(server, version: int) -> None:
    tags = {"data": DIGEST, "revision": REVISION, "trainer": TRAINER, "report": evidence.digest(report())}
    files = {"backtest/report.json": report(), "held_out.json": json.dumps(HELD_OUT).encode(), "model/model.onnx": b"a model"}
    named = {f"modelstack.{name}": value for name, value in tags.items()}
    server.runs[run_id(version)] = TrackedRun(run_id(version), named, files)
    server.versions["markdown", version] = run_id(version)


def _outputs(world, stack: str, releases):
    stable = releases["stable"]
    url = f"http://{world.address('endpoint', stack)}"
    return {
        "kubeconfig": json.dumps(kubeconfig(world, stack)),
        "registry": world.address("container registry", stack),
        "servingImage": "registry.example/serving@sha256:1",
        "tracking": {"url": f"http://{world.address('model registry', stack)}", "username": "admin", "password": "p"},
        "training": {
            name: {"namespace": f"{prefix(stack)}training", "cronJob": f"{name}-training", "image": "i"}
            for name in ("markdown", "tuna")
        },
        "endpoints": {"markdown": {"url": url, "version": stable, "run": run_id(stable), "image": image(stable)}},
    }


def _node(stack: str):
    return {"urn": f"urn:pulumi:{stack}::modelstack::modelstack:cluster:EmbeddedCluster$command:local:Command::node"}


def _owner(stack: str):
    urn = f"urn:pulumi:{stack}::modelstack::modelstack:owner:Owner$random:index/randomUuid:RandomUuid::{naming.OWNER_ID}"
    return {"urn": urn, "type": "random:index/randomUuid:RandomUuid", "outputs": {"result": OWNERS[stack]}}


def _update(releases):
    config = {"modelstack:releases": {"value": json.dumps({"markdown": releases}), "secret": False}}
    return {**UPDATE, "config": config}


def _deploy(world, stack: str, version: int, role: str) -> None:
    """Adds the Deployment and the pod of a variant, and the CronJob of trainings."""
    cluster = world.clusters["dev" if stack == "dev" else "stage"]
    labels = {WORKLOAD_LABEL: "markdown", ROLE_LABEL: role, VERSION_LABEL: str(version)}
    container = {"name": "model", "image": f"r/markdown-serving@{image(version)}"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    cluster.add(
        f"/apis/apps/v1/namespaces/{prefix(stack)}serving/deployments/markdown-{role}",
        metadata={"labels": labels, "annotations": {RUN_ANNOTATION: run_id(version)}},
        spec={"template": template},
        status={"replicas": 1, "readyReplicas": 1, "conditions": []},
    )
    pod = f"markdown-{role}-{stack}"
    status = {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": []}
    cluster.add(f"/api/v1/namespaces/{prefix(stack)}serving/pods/{pod}", metadata={"labels": labels}, status=status)
    cluster.pods[f"{pod}:6000/metrics"] = metrics(answers=[100.0, 200.0]).encode()
    cluster.pods[f"{pod}:6001/recorded"] = json.dumps(recorded(100.0, 200.0)).encode()
    job = {
        "metadata": {"annotations": {RUN_ARGUMENT: "--run"}},
        "spec": {"template": {"spec": {"containers": [{"name": "training", "image": "i", "command": ["train"]}]}}},
    }
    cluster.add(f"/apis/batch/v1/namespaces/{prefix(stack)}training/cronjobs/markdown-training", spec={"jobTemplate": job})


def give_role(world, role: str, version: int) -> None:
    """Gives a version a role beside the stable version of stage, in the stack file and in the cluster."""
    roles = {"canary": {"canary": {"version": version, "percent": 50}}, "shadow": {"shadow": version}}
    world.write("stage", block(3, version, **roles[role]))
    _deploy(world, "stage", version, role)


def run_jobs(world) -> None:
    """Lets each Job end at once: a training registers version 6, a back-test confirms the recorded evidence."""
    cluster, jobs = world.clusters["dev"], "/apis/batch/v1/namespaces/training/jobs/"

    def ended(path: str, job) -> None:
        name = path.removeprefix(jobs)
        job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        status = {"containerStatuses": [{"state": {"terminated": {}}}]}
        pod = f"/api/v1/namespaces/training/pods/{name}-pod"
        cluster.add(pod, metadata={"labels": {"batch.kubernetes.io/job-name": name}}, status=status)
        models = world.models["dev"]
        if BACKTESTED_LABEL in job["metadata"]["labels"]:
            recorded = {"version": "5", "report": evidence.digest(report()), "outcome": "confirmed", "purpose": "backtest"}
            tags = {f"modelstack.{key}": value for key, value in recorded.items()}
            models.runs["a back-test"] = TrackedRun("a back-test", {**tags, RUN_TAG: name, PARENT: run_id(5)})
        else:
            _register(models, 6)
            models.runs[run_id(6)].tags[RUN_TAG] = name
        cluster.logs[f"{name}-pod"] = "the log says nothing\n"

    cluster.created = ended


def register_tuna(world) -> None:
    """Registers version 1 of tuna in dev, with a report that is evidence for it."""
    content = evidence.canonical(large().model_copy(update={"workload": "tuna"}))
    server = world.models["dev"]
    _register(server, 9)
    del server.versions["markdown", 9]
    run = server.runs[run_id(9)]
    run.artifacts["backtest/report.json"] = content
    run.tags["modelstack.report"] = evidence.digest(content)
    server.versions["tuna", 1] = run.id
