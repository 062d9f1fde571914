"""An ordinary user, whose environments run in clusters of others: what needs no root works without root."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from common import clock
from delivery.stacks import stack_file
from tests.checkout import TIERS, clone
from tests.engine.harness.control_plane import connected, uid_of
from tests.engine.harness.plain import opened, template
from tests.engine.harness.processes import executable
from tests.engine.harness.tracking import tracking_server
from tests.engine.harness.user import User
from tests.releases import DIGEST, RUN, TRAINER, image, outputs, release
from tests.reports import large
from workloads import evidence

__all__ = ["template"]  # a fixture

SEED = """\
import json, pathlib, pulumi
for name, value in json.loads(pathlib.Path(f"{pulumi.get_stack()}.json").read_text()).items():
    pulumi.export(name, pulumi.Output.secret(value) if name in {"kubeconfig", "tracking"} else value)
"""
"""Exports the outputs of an environment. The engine records the update with the configuration of the stack file."""
STACK_FILE = """\
config:
  pulumi:disable-default-providers: [kubernetes]
  modelstack:cluster: {{kind: existing, context: {stack}, kubeconfig: {kubeconfig}, host: localhost, namespacePrefix: {stack}-}}
  modelstack:images: {{registry: registry.example}}
  modelstack:workloads:
    markdown: {{nodePort: 30001}}
"""
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "markdown-stable",
        "namespace": "stage-serving",
        "labels": {"modelstack.dev/workload": "markdown", "modelstack.dev/role": "stable", "modelstack.dev/version": "3"},
        "annotations": {"modelstack.dev/run": RUN},
    },
    "spec": {
        "selector": {"matchLabels": {"app": "markdown"}},
        "template": {
            "metadata": {"labels": {"app": "markdown"}},
            "spec": {"containers": [{"name": "model", "image": f"registry.example/markdown-serving@{image(3)}"}]},
        },
    },
}
TARGET = """
[[targets]]
tier = "stage"
cluster = "UID"
context = "stage"
namespace_prefix = "stage-"
images = "registry.example"
"""
REPORT = large().model_copy(update={"data": DIGEST, "data_day": clock.today() - timedelta(days=20)})
TAGS = {"data": DIGEST, "revision": "1a2b3c4d5e6f", "trainer": TRAINER, "report": evidence.digest(evidence.canonical(REPORT))}


def block():
    """The releases of markdown: version 3, with the evidence that its run recorded."""
    metrics = {name: round(value, 6) for name, value in REPORT.metrics.items()}
    recorded = {"version": 3, "data": DIGEST, "report": TAGS["report"], "metrics": metrics, "until": str(REPORT.data_day)}
    return {"stable": 3, "versions": [release(3, evidence=recorded)]}


@pytest.fixture(scope="module")
def tracking():
    version = {"name": "markdown", "version": "3", "run_id": RUN}
    tags = {f"modelstack.{name}": value for name, value in TAGS.items()}
    with tracking_server(version, tags, {"backtest/report.json": evidence.canonical(REPORT)}) as url:
        yield url


@pytest.fixture(scope="module")
def user():
    """A user with a folder of his own, not below pytest's, which only its owner can enter."""
    with tempfile.TemporaryDirectory(prefix="modelstack-user-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(folder / "checkout"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "tests",
        }
        for part in ("home", "state", "checkout"):
            (folder / part).mkdir()
        yield User(folder=folder, environ=environ)


@pytest.fixture(scope="module")
def checkout(user, engine_home, template, api_server, tracking):
    """A checkout of the user, with engine and plugins. dev and stage are up and serve version 3; prod was never up."""
    made = user.folder / "checkout"
    clone(made)
    write_kubeconfig(made / "kubeconfig", api_server)
    (made / ".modelstack" / "bin").mkdir(parents=True)
    shutil.copy(executable("pulumi"), made / ".modelstack" / "bin" / "pulumi")
    shutil.copytree(engine_home / "plugins", made / ".modelstack" / "pulumi" / "plugins")
    seed = opened(user.folder, engine_home)
    seed.folder.mkdir()
    seed.environment["PULUMI_BACKEND_URL"] = user.environ["PULUMI_BACKEND_URL"]
    del seed.environment["PULUMI_STACK"]
    with (made / TIERS).open("a") as tiers:
        tiers.write(TARGET.replace("UID", uid_of(api_server)))
    for stack in ("dev", "stage", "prod"):
        file = made / f"Pulumi.{stack}.yaml"
        file.write_text(STACK_FILE.format(stack=stack, kubeconfig=made / "kubeconfig"))
        if stack != "prod":
            file.write_text(stack_file.with_releases(file.read_text(), "markdown", block()))
            bring_up(seed, file, stack, tracking)
    for name in ("checkout", "state", "home"):
        user.takes(user.folder / name)
    cluster = connected(api_server)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stage-serving"}}, "tests")
    cluster.apply(DEPLOYMENT, "tests")
    return made


def write_kubeconfig(file, text):
    """Writes a kubeconfig with one context per environment, whose certificate the user can read."""
    kubeconfig = yaml.safe_load(text)
    certificate = kubeconfig["clusters"][0]["cluster"]
    path = file.with_name("certificate")
    shutil.copy(certificate["certificate-authority"], path)
    certificate["certificate-authority"] = str(path)
    ((context),) = [one["context"] for one in kubeconfig["contexts"]]
    kubeconfig["contexts"] = [{"name": stack, "context": context} for stack in ("dev", "stage", "prod")]
    file.write_text(yaml.safe_dump(kubeconfig))


def bring_up(seed, file, stack, tracking):
    """Updates a stack with a program that only exports outputs."""
    seed.program(SEED)
    (seed.folder / "Pulumi.yaml").write_text("name: modelstack\nruntime: python\n")
    shutil.copy(file, seed.folder)
    endpoint = {"url": "http://localhost:30001", "version": 3, "run": RUN, "image": image(3)}
    exported = outputs(block()) | {
        "kubeconfig": "",
        "registry": "registry.example",
        "servingImage": f"registry.example/serving@{image(9)}",
        "tracking": {"url": tracking, "username": "admin", "password": "p"},
        "endpoints": {"markdown": endpoint},
    }
    (seed.folder / f"{stack}.json").write_text(json.dumps(exported))
    for words in (["stack", "init", stack], ["up", "--stack", stack, "--yes", "--skip-preview"]):
        status, printed = seed.run(*words)
        assert status == 0, printed
    file.write_text((seed.folder / file.name).read_text())  # with the salt of its passphrase


@pytest.fixture(scope="module")
def modelstack(user, checkout):
    """Runs a command as the user, in his checkout, and returns its standard output."""

    def run(*words, code=0):
        program = "from delivery.cli.main import main; main()"
        done = user.run(sys.executable, "-P", "-c", program, *words, cwd=checkout)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_the_user_is_no_root_and_may_not_run_what_needs_root(user, checkout, modelstack):
    print_ids = "import os; print(os.geteuid(), os.access('/root', os.W_OK))"
    assert user.run(sys.executable, "-P", "-c", print_ids, cwd=checkout).stdout == f"{user.id} False\n"
    for command in ("up", "down"):
        assert "need root" in modelstack(command, "--stack", "stage", code=1)


def test_status_shows_what_runs_in_the_cluster_of_others(modelstack):
    (status,) = json.loads(modelstack("status", "--stack", "stage", "--json"))
    assert (status["state"], status["pending"]) == ("up", [])
    (variant,) = status["variants"]
    assert (variant["version"], variant["run"], variant["image"], variant["gate"]) == (3, RUN, image(3), "passed")
    assert "prod: not up" in modelstack("status"), "without --stack, it shows all environments"


def test_history_shows_the_engine_s_records(modelstack):
    (entry,) = json.loads(modelstack("history", "markdown", "--stack", "stage", "--json"))
    assert (entry["stable"], entry["run"], entry["image"]) == (3, RUN, image(3))


def test_report_writes_the_page_and_the_preview_of_the_whole_program(modelstack, checkout):
    modelstack("report", "markdown", "--stack", "stage", "--preview", "--out", "report")
    page = (checkout / "report" / "index.html").read_text()
    assert TAGS["report"] in page, "the evidence comes from the model registry"
    assert "markdown-stable-deployment" in page, "the engine, its plugins and the program run without root"


def test_a_target_is_registered_before_anything_is_written_to_it(modelstack, checkout, user, api_server):
    file, tiers = checkout / "Pulumi.prod.yaml", checkout / TIERS
    before = file.read_text(), tiers.read_text()
    refused = modelstack("promote", "markdown", "--to", "prod", code=1)
    assert "The target of stack prod is not registered for tier prod." in refused
    assert "modelstack target register --stack prod" in refused
    printed = modelstack("target", "register", "--stack", "prod", "--dry-run")
    assert f'+cluster = "{uid_of(api_server)}"' in printed
    assert (file.read_text(), tiers.read_text()) == before
    modelstack("target", "register", "--stack", "prod")
    assert tiers.read_text().startswith(before[1].rstrip())
    (registered,) = [each for each in json.loads(modelstack("target", "list", "--json")) if each["context"] == "prod"]
    assert registered == {
        "tier": "prod",
        "cluster": uid_of(api_server),
        "context": "prod",
        "namespace_prefix": "prod-",
        "images": "registry.example",
    }
    assert "nothing changes" in modelstack("target", "register", "--stack", "prod")
    assert tiers.stat().st_uid == user.id


def test_promote_shows_the_change_and_writes_the_user_s_own_stack_file(modelstack, checkout, user):
    file = checkout / "Pulumi.prod.yaml"
    before = file.read_text()
    assert "+      stable: 3" in modelstack("promote", "markdown", "--to", "prod", "--dry-run")
    assert file.read_text() == before
    modelstack("promote", "markdown", "--to", "prod")
    assert stack_file.releases(file.read_text())["markdown"] == block()
    assert file.stat().st_uid == user.id
