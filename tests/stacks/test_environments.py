"""What one environment has and another one has not."""

from __future__ import annotations

from functools import cache

import pulumi
import pytest

from delivery.environments import outputs
from tests.harness import Secret, revealed, run_stack
from tests.releases import RUN, image, released, run_released
from workloads.catalogue import WORKLOADS


@cache
def declared_by(stack):
    return run_stack(stack, replaced={"releases": {}})


def shape(stack):
    """Types and names: what there is, whatever its size."""
    return {(resource.type, resource.name) for resource in declared_by(stack).resources}


def named(value):
    """Arguments of a program by their names, where some have any: `--workers=4` is at `--workers`, wherever it stands."""
    if not isinstance(value, list) or not any(isinstance(each, str) and "=" in each for each in value):
        return value
    names = [each.partition("=")[0] for each in value if each != "-c"]
    assert len(names) == len(set(names)), f"two arguments have one name: {value}"
    return dict(zip(names, (each for each in value if each != "-c"), strict=True))


def differences(one, other, path=""):
    """The paths at which two plain values differ."""
    one, other = named(one), named(other)
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, f"{path}[{index}]")
    elif one != other:
        yield path


def test_stage_and_prod_are_made_of_the_same_parts():
    assert shape("stage") == shape("prod"), "a rehearsal with other actors is none"


def test_dev_differs_from_the_others_by_its_cluster_alone():
    assert {name for _, name in shape("dev") ^ shape("prod")} == {"cluster", "cluster-node"}


def test_stage_and_prod_differ_in_size_and_address_only():
    stage = {(resource.type, resource.name): resource for resource in declared_by("stage").resources}
    prod = {(resource.type, resource.name): resource for resource in declared_by("prod").resources}
    found = {
        f"{key[1]}: {path}" for key in stage for path in differences(stage[key].inputs, prod[key].inputs) if stage[key].custom
    }
    container = "spec.template.spec.containers[0]"
    assert found == {
        "artifacts-claim: spec.resources.requests.storage",
        "cluster-provider: clusterIdentifier",
        "cluster-provider: context",
        "data-claim: spec.resources.requests.storage",
        "owner-copy: data.stack",
        f"postgres-server: {container}.args.effective_cache_size",
        f"postgres-server: {container}.args.maintenance_work_mem",
        f"postgres-server: {container}.args.shared_buffers",
        f"postgres-server: {container}.resources.limits.memory",
        f"postgres-server: {container}.resources.requests.cpu",
        f"postgres-server: {container}.resources.requests.memory",
        "postgres-volume: spec.resources.requests.storage",
        f"tracking-server: {container}.args.--allowed-hosts",
        f"tracking-server: {container}.args.--cors-allowed-origins",
        f"tracking-server: {container}.args.--workers",
        f"tracking-server: {container}.resources.limits.memory",
        f"tracking-server: {container}.resources.requests.cpu",
        f"tracking-server: {container}.resources.requests.memory",
    }, "every other difference would be found out in production first"


@pytest.mark.parametrize(("stack", "protected"), [("dev", False), ("stage", True), ("prod", True)])
def test_data_that_others_rely_on_cannot_be_deleted_by_an_update(stack, protected):
    kept = {
        r.name: r.protect for r in declared_by(stack).resources if r.protect or r.name in {"postgres-volume", "artifacts-claim"}
    }
    assert set(kept.values()) == {protected}, kept
    assert not protected or {"postgres-password", "tracking-password"} <= kept.keys(), (
        "data behind a lost password is lost as well"
    )


def test_an_environment_without_a_release_says_so_and_has_no_endpoint():
    declared = declared_by("dev")
    assert not declared.all("Endpoint")
    assert declared.outputs["workloads"]["markdown"]["state"] == "unreleased"
    assert declared.outputs.get("endpoints", {}) == {}


@pytest.mark.parametrize("stack", ["dev", "stage", "prod"])
def test_every_declared_workload_can_be_trained_and_only_listed_ones_have_endpoints(stack):
    declared = run_released(stack)
    assert {job.name for job in declared.all("CronJob")} == {f"training-{name}" for name in WORKLOADS}, (
        "a workload that is added would need an edit of every stack file"
    )
    assert [endpoint.name for endpoint in declared.all("Endpoint")] == ["markdown"]


def test_the_first_release_of_another_workload_changes_nothing_of_the_others():
    listed = {"markdown": {"replicas": {"min": 1, "max": 2}, "nodePort": 30001}, "tuna": {"nodePort": 30002}}
    both = {"releases": {"markdown": released(3), "tuna": released(1)}, "workloads": listed}
    before, after = run_released("dev"), run_stack("dev", replaced=both)
    plain = {(resource.type, resource.name): resource for resource in before.resources}
    more = {(resource.type, resource.name): resource for resource in after.resources}
    changed = [name for (kind, name) in plain if more[kind, name] != plain[kind, name]]
    assert changed == ["releases-copy"], "the record of all releases, which no pod reads"
    assert [name for _, name in more.keys() - plain.keys() if not name.startswith("tuna")] == []
    assert after.outputs["endpoints"]["tuna"]["url"] == "http://localhost:30002"


def test_a_release_gives_an_endpoint_that_tells_what_it_serves():
    told = run_released("dev").outputs
    assert told["workloads"]["markdown"]["state"] == "serving"
    assert told["endpoints"]["markdown"] == {
        "url": "http://localhost:30001",
        "version": 3,
        "run": RUN,
        "image": f"localhost:5000/markdown-serving@{image(3)}",
    }


def test_the_commands_find_all_they_need_in_the_outputs():
    read = outputs.parse("dev", revealed(declared_by("dev").outputs))
    assert read.training["markdown"].cron_job == "markdown-training"
    assert read.tracking.url == "http://localhost:30000"


def test_what_gives_access_is_secret():
    declared = declared_by("dev")
    assert isinstance(declared.outputs["kubeconfig"], Secret)
    assert isinstance(declared.outputs["tracking"]["password"], Secret)


def test_a_bad_stack_file_is_refused_before_anything_is_declared():
    with pytest.raises(pulumi.RunError, match=r"modelstack:databse is not a known key") as refused:
        run_stack("dev", replaced={"databse": {}})
    assert "Traceback" not in str(refused.value)
    assert refused.value.__suppress_context__, "the reader sees the message, not what raised it"


def test_the_engine_of_endpoints_is_chosen_by_the_stack_file():
    with_seldon = {"engine": "seldon", "gatewayNodePort": 31380}
    cluster = {"kind": "existing", "context": "c", "host": "c.example"}
    declared = run_released("dev", replaced={"serving": with_seldon, "cluster": cluster})
    assert declared.one("SeldonDeployment").inputs["spec"]["predictors"][0]["name"] == "stable"
    assert declared.outputs["endpoints"]["markdown"]["url"] == "http://c.example:31380/seldon/serving/markdown"
    assert not declared.all("Router")
