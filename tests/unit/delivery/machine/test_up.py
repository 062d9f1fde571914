"""`modelstack up`: what it does, what it leaves alone, and how it continues after an interruption."""

from __future__ import annotations

import pytest

from clients import container_registry
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.machine import preflight, up
from delivery.stacks import lock, recovery, stack_file
from infra import live_cluster
from tests.releases import image, released
from tests.unit.delivery.machine.machines import EMBEDDED, EXISTING, NODE_URN, SALT

FIRST = ["tools", "up dev 9", "train markdown", "release markdown", "up dev 5", "summary changed=True"]
"""The calls of the first run, which begins with nothing."""
TUNA = "    tuna: {nodePort: 30002}\n"


def with_release(text, *others, **roles):
    return stack_file.with_releases(text, "markdown", released(3, *others, **roles))


@pytest.fixture
def first(machine):
    """A machine on which nothing is up yet."""
    machine.plans = [9]
    return machine


@pytest.fixture
def served(machine):
    """A machine on which version 3 of markdown is released and up."""
    machine.stacks, machine.state = {"dev"}, {"resources": [{"urn": NODE_URN}]}
    machine.write(with_release(EMBEDDED))
    return machine


@pytest.fixture
def images(monkeypatch):
    """The images in the container registry; by default, it has all of them."""
    kept = {image(version) for version in range(10)}
    monkeypatch.setattr(
        container_registry, "digest_of", lambda _address, _repository, digest: Found(digest) if digest in kept else Absent()
    )
    return kept


def test_the_first_run_does_everything_in_order(first):
    assert first.up() == FIRST


def test_a_second_run_finds_nothing_to_do_and_says_so(served, images):
    before = served.read()
    assert served.up() == ["tools", "summary changed=False"], "no update, no training and no release"
    assert served.read() == before
    assert "environment done" in served.printed.getvalue()
    assert "nothing to change" in served.printed.getvalue()
    assert "endpoints" not in served.printed.getvalue(), "without a new release there is no second plan"


@pytest.mark.parametrize(
    ("stage", "calls"), [("tools", 1), ("environment", 2), ("training", 3), ("release", 4), ("endpoint", len(FIRST))]
)
def test_until_stops_after_its_stage_and_says_how_to_go_on(first, stage, calls):
    assert first.up(stage) == FIRST[:calls]
    stopped = f"Stopped after stage {stage}. Next: modelstack up --stack dev"
    assert (stopped in first.printed.getvalue()) == (stage != "endpoint")


def test_until_tools_neither_writes_the_stack_file_nor_creates_a_stack(first):
    first.up("tools")
    assert (first.read(), first.stacks) == (EMBEDDED, set())


@pytest.mark.parametrize("failing", ["up dev 9", "train markdown", "release markdown", "up dev 5"])
def test_a_run_that_fails_stops_there_and_the_next_one_repeats_only_what_is_missing(first, images, failing):
    first.fails = {failing: UserError("interrupted")}
    with pytest.raises(UserError, match="interrupted"):
        first.up()
    done = FIRST.index(failing)
    assert first.calls == FIRST[: done + 1], "nothing after the failure"
    first.calls.clear()
    first.fails, first.plans = {}, {"up dev 9": [9], "up dev 5": [5]}.get(failing, [])
    resumed = first.up()
    assert resumed[0] == "tools"
    assert resumed[1:-1] == FIRST[done:-1]
    assert resumed[-1] == "summary changed=True"


def test_a_training_that_runs_is_followed_even_if_a_version_is_registered(first):
    first.up("training")
    first.calls.clear()
    first.running = {"markdown"}
    assert "train markdown" in first.up("training"), "train() follows a run that is in progress"
    first.calls.clear()
    first.running = set()
    assert "train markdown" not in first.up("training"), "the registered version is released, and no second one trained"


def test_only_workloads_that_are_listed_and_have_no_release_are_trained_and_released(served, images):
    served.write(with_release(EMBEDDED + TUNA))
    assert served.up() == ["tools", "train tuna", "release tuna", "up dev 5", "summary changed=True"]


def test_an_environment_with_a_source_gets_its_releases_by_promotion_only(machine, tmp_path):
    machine.write(EXISTING % tmp_path, "stage")
    machine.plans = [9]
    assert machine.up(name="stage") == ["tools", "up stage 9", "summary changed=True"]


def test_a_machine_that_is_not_suitable_stops_before_anything_is_installed_or_written(first, monkeypatch):
    def unsuitable(*_, **__):
        raise UserError("too little memory")

    monkeypatch.setattr(preflight, "check", unsuitable)
    with pytest.raises(UserError, match="too little memory"):
        first.up()
    assert (first.calls, first.read()) == ([], EMBEDDED)


@pytest.mark.parametrize("ready", [True, False])
def test_the_ports_are_checked_unless_the_node_runs(first, monkeypatch, ready):
    checked = []
    monkeypatch.setattr(preflight, "check", lambda *_, ports, running, **__: checked.append((6443 in ports, running)))
    first.node_ready = ready
    first.up("tools")
    assert checked == [(True, ready)]
    first.write(EXISTING % "k", "stage")
    first.up("tools", "stage")
    assert checked[1:] == [(False, True)], "a cluster elsewhere needs no memory and no ports of this machine"


def test_a_new_stack_adds_its_salt_to_the_file_and_keeps_all_other_lines(first):
    first.up("environment")
    assert first.read() == f"{EMBEDDED}{SALT}\n", "the engine formats the file and drops comments; that is undone"


def test_the_file_of_a_stack_that_exists_is_not_changed(served, images):
    served.write(f"{with_release(EMBEDDED)}encryptionsalt: v1:old\n")
    before = served.read()
    served.up("environment")
    assert served.read() == before


def test_a_salt_without_secrets_belongs_to_another_checkout_and_is_replaced(first):
    first.write(f"{EMBEDDED}encryptionsalt: v1:foreign\n")
    first.up("environment")
    assert first.read() == f"{EMBEDDED}{SALT}\n"


def test_a_salt_with_secrets_is_kept_because_the_secrets_need_it(first):
    text = f"{EMBEDDED}  other:token: {{secure: v1:x}}\nencryptionsalt: v1:foreign\n"
    first.write(text)
    first.up("environment")
    assert first.read() == text


def test_releases_of_a_cluster_that_is_gone_are_removed_and_made_again(first):
    first.write(with_release(EMBEDDED))
    assert first.up() == FIRST
    assert "lists releases of a cluster that no longer exists" in first.printed.getvalue()
    assert stack_file.releases(first.read())["markdown"]["stable"] == 1, "trained and released again"


def test_releases_for_a_cluster_that_is_not_this_machine_s_stay(machine, tmp_path):
    text = with_release(EXISTING % tmp_path)
    machine.write(text, "stage")
    machine.up(name="stage")
    assert stack_file.releases(machine.read("stage")) == stack_file.releases(text), "the images are in a registry elsewhere"


def test_a_node_that_was_stopped_is_started_again_before_the_update(served, images):
    served.node_ready = False
    assert served.up() == ["tools", "start node", "summary changed=True"]


def test_a_node_that_was_never_started_is_left_to_the_update(first):
    first.node_ready = False
    assert "start node" not in first.up("environment")


def pending(kind="creating"):
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
    resource = {"urn": "urn:config", "type": "kubernetes:core/v1:ConfigMap", "inputs": inputs}
    return {"resources": [], "pending_operations": [{"type": kind, "resource": resource}]}


class FakeCluster:
    def __init__(self, *, has_it):
        self.has_it = has_it

    def exists(self, *_identity):
        return self.has_it


@pytest.mark.parametrize("has_it", [True, False])
def test_an_object_of_a_killed_run_is_imported_if_the_cluster_has_it(served, monkeypatch, has_it):
    served.state = pending()
    monkeypatch.setattr(live_cluster, "client", lambda _cluster: Found(FakeCluster(has_it=has_it)))
    repaired = ["replace state", "refresh ['urn:config']"] if has_it else ["replace state"]
    assert served.up("environment") == ["tools", *repaired]
    assert "pending_operations" not in served.state


def test_the_state_is_not_written_if_no_operation_is_pending(served, images):
    assert "replace state" not in served.up()


def test_a_pending_operation_is_not_dropped_if_the_cluster_cannot_be_asked(machine):
    machine.write(EMBEDDED.replace("{kind: embedded}", "{kind: kind}"))
    machine.stacks, machine.state = {"dev"}, pending()
    with pytest.raises(UserError):
        machine.up("environment")
    assert "replace state" not in machine.calls


def test_a_release_whose_image_is_lost_is_removed_and_made_again(served, images):
    images.discard(image(3))
    assert served.up() == ["tools", "train markdown", "release markdown", "up dev 5", "summary changed=True"]
    assert "The image of markdown version 3 is lost" in served.printed.getvalue()


def test_a_lost_image_of_one_workload_leaves_the_releases_of_the_others(served, images):
    both = stack_file.with_releases(with_release(EMBEDDED + TUNA), "tuna", released(4))
    served.write(both)
    images.discard(image(4))
    served.up("environment")
    assert list(stack_file.releases(served.read())) == ["markdown"]


def test_without_a_node_no_container_registry_is_asked(served, images):
    served.state = {}
    images.clear()
    served.up("environment")
    assert "markdown" in stack_file.releases(served.read()), "the update that follows creates the container registry"


def test_a_retained_version_that_no_pod_serves_may_lack_its_image(served, images):
    served.write(with_release(EMBEDDED, 4))
    images.discard(image(4))
    served.up("environment")
    assert len(stack_file.releases(served.read())["markdown"]["versions"]) == 2


def test_a_container_registry_that_cannot_be_asked_stops_the_command_and_no_release_is_removed(served, monkeypatch):
    before = served.read()
    unknown = Unknown(where="localhost:5000", reason="500 Internal Server Error")
    monkeypatch.setattr(container_registry, "digest_of", lambda *_: unknown)
    with pytest.raises(UserError, match="500 Internal Server Error") as refused:
        served.up()
    assert "version 3" in str(refused.value)
    assert served.calls == ["tools"]
    assert served.read() == before, "`up` would release the newest version instead, which need not be the one that ran"


def test_stale_locks_are_released_before_the_first_operation_of_the_engine(first, monkeypatch):
    monkeypatch.setattr(recovery, "release_locks", lambda folder, _progress: first.call(f"locks {folder.name}"))
    assert first.up() == ["tools", "locks dev", *FIRST[1:]]


def test_the_command_holds_the_lock_while_it_runs(first, monkeypatch):
    def run(self):
        with pytest.raises(UserError, match="`modelstack up --stack dev`"), lock.exclusive("another"):
            pass
        first.call(f"run {self.name} {self.until}")

    monkeypatch.setattr(up.Up, "run", run)
    up.main("dev", "tools")
    assert first.calls == ["run dev tools"]


def test_a_misspelt_stack_file_is_refused_before_the_log_and_the_lock_are_made(first, tmp_path):
    first.write(EMBEDDED.replace("nodePort: 30001", "nodePrt: 30001"))
    with pytest.raises(UserError, match="nodePrt"):
        up.main("dev", "endpoint")
    assert [file.name for file in tmp_path.iterdir()] == ["Pulumi.dev.yaml"]
