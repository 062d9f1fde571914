"""Releasing a model version: the image is built once, and the stack file gets the release."""

import hashlib
import json
from dataclasses import replace

import pytest

from clients.model_registry import ModelVersion
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.console.progress import Reporter
from delivery.releases.releaser import Releaser
from delivery.releases.stack_editor import StackEditor
from delivery.stacks import stack_file
from infra.promotion.deployed import DeployedReleases
from infra.settings import loading
from tests.releases import TODAY
from workloads.catalogue import WORKLOADS

REPORT = hashlib.sha256(b"report").hexdigest()
STACK_FILE = """\
# comment
config:
  modelstack:cluster: {kind: embedded}
  modelstack:images:
    registry: localhost:5000
    base: localhost:5000/base:bookworm
  modelstack:workloads:
    markdown: {nodePort: 30001}   # second comment
"""
TAGS = {"data": f"sha256:{'d' * 64}", "revision": "1234567", "trainer": "t@example.com", "report": f"sha256:{REPORT}"}


def version(number, name="markdown", **tags):
    return ModelVersion(name=name, version=number, run=f"{number:032x}", tags={**TAGS, **tags})


class Models:
    """A model registry with the given versions."""

    def __init__(self, *versions):
        self.versions = {model.version: model for model in versions}

    def newest(self, _name):
        return self.versions[max(self.versions)] if self.versions else None

    def version(self, _name, number):
        return self.versions.get(number)

    def download(self, _model, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("model")

    def report(self, model):
        return model.tag("report"), {"wape": 0.4}, model.tags.get("until")


class Builder:
    """Builds nothing. Records the calls, and pushes to a container registry that is a dictionary."""

    def __init__(self, registry):
        self.registry, self.built = registry, []

    def build(self, context, dockerfile, args, tag, progress):
        self.built.append(
            (tag, args, json.loads((context / "release.json").read_text()), (context / "model" / "MLmodel").exists())
        )
        return "id"

    def push(self, tag, progress):
        repository, _, label = tag.removeprefix("localhost:5000/").rpartition(":")
        digest = "sha256:" + hashlib.sha256(tag.encode()).hexdigest()
        self.registry[repository, label] = Found(digest)
        return digest


@pytest.fixture
def world(tmp_path):
    registry = {}
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(STACK_FILE)
    builder = Builder(registry)

    def releaser(*versions, serving="localhost:5000/serving@sha256:1", stack="dev"):
        return Releaser(
            editor=lambda workload: StackEditor(
                stack=stack,
                file=file,
                text=file.read_text(),
                workload=WORKLOADS[workload],
                deployed=DeployedReleases(),
                today=TODAY,
            ),
            models=Models(*versions),
            builder=builder,
            registry="localhost:5000",
            serving_image=serving,
            pushed_digest=lambda repository, tag: registry.get((repository, tag), Absent()),
        )

    return file, builder, releaser


def test_the_newest_version_is_released_with_its_identity_and_evidence(world):
    file, builder, releaser = world
    changes = releaser(version(1), version(2)).release("markdown", None, Reporter([]))
    releases = stack_file.releases(file.read_text())["markdown"]
    (release,) = releases["versions"]
    assert releases["stable"] == 2
    assert (release["version"], release["run"], release["data"]) == (2, f"{2:032x}", TAGS["data"])
    assert release["trainer"] == "t@example.com"
    evidence = {"version": 2, "data": TAGS["data"], "report": TAGS["report"], "metrics": {"wape": 0.4}}
    assert release["evidence"] == evidence
    assert "+      stable: 2" in changes
    assert "# second comment" in file.read_text()
    (built,) = builder.built
    assert built[1] == {"SERVING": "localhost:5000/serving@sha256:1"}
    assert built[2]["run"] == f"{2:032x}", "the image contains its identity"
    assert built[3], "the build context contains the model"


def test_a_release_has_the_last_day_of_the_data_if_the_report_has_it(world):
    file, _, releaser = world
    releaser(version(1, until="1992-10-07")).release("markdown", None, Reporter([]))
    assert "until: '1992-10-07'" in file.read_text(), "as text, because the engine does not pass on YAML dates as they are"
    (release,) = loading.load(file).releases["markdown"].versions
    assert release.evidence.until == "1992-10-07"
    assert releaser(version(1, until="1992-10-07")).release("markdown", None, Reporter([])) == "", (
        "a second release changes nothing"
    )


def test_a_second_release_of_the_same_version_changes_nothing(world):
    file, builder, releaser = world
    releaser(version(1)).release("markdown", 1, Reporter([]))
    once = file.read_text()
    assert releaser(version(1)).release("markdown", 1, Reporter([])) == "", "the diff is empty"
    assert file.read_text() == once
    assert len(builder.built) == 1, "an image in the container registry is not built again"


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_container_registry_that_cannot_be_asked_is_no_reason_to_build_an_image_again(world, dry_run):
    file, builder, releaser = world
    one = replace(releaser(version(1)), pushed_digest=lambda *_: Unknown(where="localhost:5000", reason="500"))
    with pytest.raises(UserError, match=r"cannot be asked.*\n.*localhost:5000"):
        one.release("markdown", 1, Reporter([]), dry_run=dry_run)
    assert (file.read_text(), builder.built) == (STACK_FILE, [])


def test_a_new_serving_image_makes_a_new_release_image(world):
    _, builder, releaser = world
    releaser(version(1)).release("markdown", 1, Reporter([]))
    releaser(version(1), serving="localhost:5000/serving@sha256:2").release("markdown", 1, Reporter([]))
    assert len({tag for tag, *_ in builder.built}) == 2


def test_a_dry_run_shows_the_change_and_builds_and_writes_nothing(world):
    file, builder, releaser = world
    assert "version: 1" in releaser(version(1)).release("markdown", None, Reporter([]), dry_run=True)
    assert file.read_text() == STACK_FILE
    assert not builder.built


@pytest.mark.parametrize(
    ("versions", "requested", "message"),
    [
        ((), None, "modelstack train markdown"),
        ((version(1),), 7, "no version 7"),
        ((ModelVersion(name="markdown", version=1, run="r"),), None, "no tag modelstack."),
    ],
)
def test_a_version_that_cannot_be_released_is_refused_and_nothing_is_edited(world, versions, requested, message):
    file, builder, releaser = world
    with pytest.raises(UserError, match=message):
        releaser(*versions).release("markdown", requested, Reporter([]))
    assert file.read_text() == STACK_FILE
    assert not builder.built


def test_an_unknown_workload_is_refused(world):
    _, _, releaser = world
    with pytest.raises(UserError, match="markdwon"):
        releaser(version(1)).release("markdwon", None, Reporter([]))


def test_the_first_release_of_a_workload_adds_an_endpoint_with_the_next_node_port(world):
    file, _, releaser = world
    releaser(version(1)).release("markdown", None, Reporter([]))
    before = file.read_text()
    changes = releaser(version(1, "tuna")).release("tuna", None, Reporter([]))
    assert "+      nodePort: 30002" in changes, "30000 is the tracking server's, 30001 markdown's"
    assert [line for line in changes.splitlines() if line.startswith("-") and line != "--- a/Pulumi.dev.yaml"] == []
    loaded = loading.load(file)
    assert loaded.workloads["tuna"].node_port == 30002
    assert loaded.releases["markdown"] == loading.parse_text(before, file.name).releases["markdown"], (
        "the releases of the other workload do not change"
    )
    assert releaser(version(1, "tuna")).release("tuna", None, Reporter([])) == ""


def test_an_existing_node_port_stays(world):
    file, _, releaser = world
    file.write_text(STACK_FILE + "    tuna: {nodePort: 30017}\n")
    releaser(version(1, "tuna")).release("tuna", None, Reporter([]))
    assert loading.load(file).workloads["tuna"].node_port == 30017


def test_a_release_is_refused_if_no_node_port_is_free(world):
    file, builder, releaser = world
    full = STACK_FILE.replace("{kind: embedded}", "{kind: embedded, nodePorts: 30000-30001}")
    file.write_text(full)
    with pytest.raises(
        UserError, match=r"No node port is free in dev for an endpoint of tuna[\s\S]*extend the range cluster.nodePorts"
    ):
        releaser(version(1, "tuna")).release("tuna", None, Reporter([]))
    assert file.read_text() == full
    assert not builder.built


def test_an_invalid_release_is_not_written(world):
    file, _, releaser = world
    with pytest.raises(UserError):
        releaser(version(1, revision="not a commit")).release("markdown", None, Reporter([]))
    assert file.read_text() == STACK_FILE


def test_a_failed_build_edits_nothing(world, monkeypatch):
    file, builder, releaser = world

    def fail(*_args):
        raise UserError("The disk is full.")

    monkeypatch.setattr(builder, "build", fail)
    with pytest.raises(UserError, match="disk"):
        releaser(version(1)).release("markdown", None, Reporter([]))
    assert file.read_text() == STACK_FILE


def test_what_somebody_writes_into_the_stack_file_during_the_build_is_kept(world, monkeypatch):
    file, builder, releaser = world
    build = builder.build

    def build_while_somebody_edits(*args):
        file.write_text(file.read_text() + "# written during the build\n")
        return build(*args)

    monkeypatch.setattr(builder, "build", build_while_somebody_edits)
    changes = releaser(version(1)).release("markdown", None, Reporter([]))
    assert "# written during the build" in file.read_text()
    assert "written during the build" not in [line[1:] for line in changes.splitlines() if line[:1] in "+-"], (
        "the diff contains the release alone"
    )


def test_a_release_that_the_stack_may_not_serve_is_refused_before_the_build(world):
    file, builder, releaser = world
    before = file.read_text()
    with pytest.raises(UserError, match="is not approved for prod"):
        releaser(version(1), stack="prod").release("markdown", None, Reporter([]))
    assert builder.built == [], "a build takes minutes"
    assert file.read_text() == before
