"""`modelstack up`, `up --adopt` and `down` in an environment that has another owner."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace

import pytest

from clients.kubernetes import ApiError
from common import paths
from common.answers import Absent, Found, Unknown
from common.errors import UserError
from delivery.machine import adoption, down, up
from delivery.machine import tour as tour_command
from delivery.stacks import adopted_state, stack, stack_file
from infra import live_cluster
from infra.live_cluster import LiveCluster
from infra.ownership import NotOwnerError
from infra.settings import tour
from tests.harness import LIVE_CLUSTER
from tests.releases import METRICS, image, released
from tests.tiers import tier_of
from tests.unit.delivery.machine.machines import EMBEDDED, EXISTING, NODE_URN, SALT, FakeStack

OWNER_URN = "urn:pulumi:dev::modelstack::modelstack:owner:Owner$random:index/randomUuid:RandomUuid::owner-id"
COPY_URN = "urn:pulumi:dev::modelstack::modelstack:owner:Owner$kubernetes:core/v1:ConfigMap::owner-copy"
VALUES = {"postgres-password": "p" * 32, "tracking-password": "t" * 32, "tracking-session-key": "s" * 32}
RECORD = {"markdown": {"version": 3, "image": image(3), "metrics": METRICS, "proven": [image(2), image(3)], "canary": None}}
ELSEWHERE = {"id": "other", "backend": "s3://elsewhere", "project": "modelstack", "stack": "dev"}


def state(owner="mine", **more):
    found = [{"urn": OWNER_URN, "type": "t", "outputs": {"result": owner}}, {"urn": COPY_URN, "type": "t"}]
    return {"resources": found, **more}


def live(owner=None, database=None):
    owned_by = "stack dev of project modelstack in s3://elsewhere"
    return LiveCluster(uid=Found("uid"), owner=owner or Absent(), owned_by=owned_by, database=database or Absent())


class Api:
    """The API server of an environment with three passwords."""

    server = "https://c.example"

    def __init__(self, **objects):
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in VALUES.items()}
        self.objects = {
            "secrets/postgres": {"data": {"password": encoded["postgres-password"]}},
            "secrets/tracking": {
                "data": {
                    "MLFLOW_AUTH_ADMIN_PASSWORD": encoded["tracking-password"],
                    "MLFLOW_FLASK_SERVER_SECRET_KEY": encoded["tracking-session-key"],
                }
            },
            "configmaps/modelstack-owner": {"metadata": {"resourceVersion": "7"}, "data": ELSEWHERE},
            "configmaps/modelstack-releases": {"metadata": {"annotations": {"modelstack.dev/releases": json.dumps(RECORD)}}},
        } | objects
        self.replaced, self.refusal, self.deployments = [], None, []

    def find(self, path):
        if self.refusal:
            return Unknown(where=f"{self.server}{path}", reason=f"{self.refusal.status} {self.refusal.message}")
        prefix, _, name = path.partition("/tracking/")
        assert prefix == "/api/v1/namespaces"
        found = self.objects.get(name)
        return Absent() if found is None else Found(found)

    def items(self, path, _params):
        assert path == "/apis/apps/v1/namespaces/serving/deployments"
        return self.deployments

    def replace(self, path, body):
        if self.refusal:
            raise self.refusal
        self.replaced.append((path, body))

    def close(self):
        pass


@pytest.fixture
def api(monkeypatch):
    made = Api()
    monkeypatch.setattr(live_cluster, "client", lambda _cluster: Found(made))
    return made


@pytest.fixture
def taken(machine, api):
    """A machine whose backend has no stack, and whose cluster has the environment of another backend."""
    machine.live = live(Found("other"), Found("uid"))
    machine.write(stack_file.with_releases(EMBEDDED, "markdown", released(3)) + "encryptionsalt: v1:elsewhere\n")
    return machine


def adopt(machine):
    up.Up(tier_of("dev"), "environment", machine.progress, adopt=True).run()
    return machine.calls


def test_up_refuses_before_it_writes_the_stack_file_or_creates_a_stack(taken):
    before = taken.read()
    with pytest.raises(NotOwnerError) as refused:
        taken.up()
    assert "s3://elsewhere" in str(refused.value)
    assert (taken.read(), taken.stacks, taken.calls) == (before, set(), ["tools"])


def test_up_changes_nothing_if_the_cluster_cannot_be_asked(taken):
    taken.live = live(
        Unknown(where="https://c.example", reason="refused"), Unknown(where="https://c.example", reason="refused")
    )
    with pytest.raises(UserError, match="It is not known who owns"):
        adopt(taken)
    assert (taken.stacks, taken.calls) == (set(), ["tools"])


def test_adopt_writes_passwords_and_releases_into_the_state_before_the_update(taken, api):
    taken.plans = [60, 1]
    assert adopt(taken) == ["tools", "replace state", "up dev 60", "up dev 1"]
    outputs = {urn.split("::")[-1]: found for urn, found in adopted_state.outputs_by_urn(taken.state).items()}
    assert {name: json.loads(outputs[name]["result"]["plaintext"]) for name in VALUES} == VALUES
    assert outputs["modelstack-dev"]["releases"] == RECORD
    ((path, body),) = api.replaced
    assert path.endswith("/configmaps/modelstack-owner")
    assert body["metadata"] == {"resourceVersion": "7"}, "the server refuses if somebody else was faster"
    assert body["data"]["id"] == outputs["owner-id"]["result"] not in {"", "other"}
    assert body["data"]["backend"].startswith(paths.BACKEND.as_uri())
    assert "markdown" in stack_file.releases(taken.read()), "the cluster is not gone: its releases stay"
    assert stack_file.salt(taken.read()) == SALT


def test_objects_of_the_other_state_are_overwritten_in_the_first_update_alone(taken, monkeypatch):
    seen = []

    def preview(_stack, _progress):
        seen.append([os.environ.get(name) for name in adoption._OVERWRITE])
        return 0

    monkeypatch.setattr(FakeStack, "preview", preview)
    monkeypatch.setenv(adoption._OVERWRITE[0], "false")
    adopt(taken)
    assert seen == [["true", "true"], ["false", None]]


def test_an_interrupted_adoption_continues_with_the_same_command(machine, monkeypatch):
    seen = []
    monkeypatch.setattr(FakeStack, "preview", lambda *_: seen.append(os.environ.get(adoption._OVERWRITE[0])) or 0)
    machine.stacks, machine.state, machine.live = {"dev"}, state("mine"), live(Found("mine"), Found("uid"))
    adopt(machine)
    assert seen == ["true", None], "the objects that are left have the other state's marks"


def test_adopt_says_what_it_takes_over_and_shows_no_secret(taken):
    adopt(taken)
    said = taken.printed.getvalue()
    assert "owner until now: stack dev of project modelstack in s3://elsewhere" in said
    assert f"passwords that stay: {', '.join(sorted(VALUES))}" in said
    assert "deployed releases: markdown version 3" in said
    assert not [value for value in VALUES.values() if value in said]


def test_adopt_names_the_passwords_that_the_cluster_has_lost(taken, api):
    del api.objects["secrets/tracking"]
    adopt(taken)
    assert "made new: tracking-password, tracking-session-key" in taken.printed.getvalue()
    assert not [urn for urn in adopted_state.outputs_by_urn(taken.state) if urn.endswith("tracking-password")]


def test_adopt_of_an_environment_without_an_owner_leaves_the_config_map_to_the_update(taken, api):
    taken.live = live(None, Found("uid"))
    del api.objects["configmaps/modelstack-owner"]
    adopt(taken)
    assert api.replaced == []
    assert "owner until now: not written in the cluster" in taken.printed.getvalue()


def test_without_a_record_the_releases_are_those_that_the_cluster_serves(taken, api):
    api.objects["configmaps/modelstack-releases"] = None
    labels = {"modelstack.dev/workload": "markdown", "modelstack.dev/version": "3", "modelstack.dev/role": "stable"}
    containers = [{"image": f"localhost:5000/markdown-serving@{image(3)}"}]
    api.deployments = [{"metadata": {"labels": labels}, "spec": {"template": {"spec": {"containers": containers}}}}]
    adopt(taken)
    (root,) = [found for found in adopted_state.outputs_by_urn(taken.state).values() if "releases" in found]
    assert root["releases"] == {"markdown": {**RECORD["markdown"], "proven": [image(3)]}}


def test_a_state_that_had_the_environment_before_keeps_its_id_and_is_refreshed(taken, api):
    taken.stacks, taken.state = {"dev"}, state("mine")
    assert adopt(taken) == ["tools", "replace state", "refresh []"]
    assert api.replaced[0][1]["data"]["id"] == "mine"


def test_adopt_may_be_repeated_after_an_interruption(taken, api):
    adopt(taken)
    first = api.replaced.pop()[1]["data"]["id"]
    adopt(taken)
    assert api.replaced[0][1]["data"]["id"] == first, "the state has its id already"


def test_who_becomes_the_owner_in_the_meantime_stays_it(taken, api, monkeypatch):
    def refused(_path, _body):
        raise ApiError(409, "the object has been modified", "Conflict")

    monkeypatch.setattr(api, "replace", refused)
    with pytest.raises(UserError, match=r"(?s)refuses a new owner.*has been modified"):
        adopt(taken)
    assert "up dev" not in " ".join(taken.calls)


def test_adopt_without_the_right_to_read_secrets_changes_nothing(taken, api):
    api.refusal = ApiError(403, "secrets is forbidden", "Forbidden")
    with pytest.raises(UserError, match=r"(?s)cannot be read.*forbidden"):
        adopt(taken)
    assert (taken.stacks, taken.calls) == (set(), ["tools"])


def test_adopt_where_nothing_is_creates_nothing(machine):
    with pytest.raises(UserError, match="There is no environment of stack dev to adopt"):
        adopt(machine)
    assert (machine.stacks, machine.calls) == (set(), ["tools"])


def test_adopt_by_the_owner_is_a_usual_update(machine, api):
    machine.stacks, machine.state, machine.live = {"dev"}, state("mine"), live(Found("mine"), Found("uid"))
    assert adopt(machine) == ["tools"]
    assert api.replaced == []


def test_a_lost_copy_is_refreshed_so_that_the_update_creates_it(machine):
    machine.stacks, machine.state, machine.live = {"dev"}, state("mine"), live(None, Found("uid"))
    machine.plans = [1]
    assert machine.up("environment") == ["tools", f"refresh ['{COPY_URN}']", "up dev 1"]
    assert "its ConfigMap is missing" in machine.printed.getvalue()


def test_an_environment_of_an_older_release_is_adopted_silently_and_says_so(machine):
    urn = (
        "urn:pulumi:dev::modelstack::modelstack:postgres:Postgres$random:index/randomPassword:RandomPassword::postgres-password"
    )
    machine.stacks, machine.state = {"dev"}, {"resources": [{"urn": urn}]}
    machine.live, machine.plans = live(None, Found("uid")), [3]
    assert machine.up("environment") == ["tools", "up dev 3"]
    assert "is from now on the owner" in machine.printed.getvalue()


def test_a_stopped_node_is_started_before_it_is_asked_also_for_another_backend(taken):
    paths.KUBECONFIG.parent.mkdir(exist_ok=True)
    paths.KUBECONFIG.write_text("x")
    taken.node_ready = False
    with pytest.raises(NotOwnerError):
        taken.up()
    assert taken.calls == ["tools", "start node"]


@pytest.mark.parametrize("kubeconfig", [True, False])
def test_a_stopped_node_is_started_first_and_then_the_cluster_is_read_once(machine, monkeypatch, kubeconfig):
    found = state("mine")
    if kubeconfig:
        paths.KUBECONFIG.parent.mkdir(exist_ok=True)
        paths.KUBECONFIG.write_text("x")
    else:
        found["resources"].append({"urn": NODE_URN})
    machine.stacks, machine.state, machine.node_ready = {"dev"}, found, False
    monkeypatch.setattr(live_cluster, "read", lambda _: machine.call("read") or live(Found("mine"), Found("uid")))
    monkeypatch.setattr(stack.Stack, "create", lambda name: machine.call("open") or FakeStack(machine, name))
    assert machine.up("environment") == ["tools", "start node", "read", "open"]


def test_one_answer_of_the_cluster_decides_about_the_target_and_the_owner_also_in_an_adoption(taken):
    adopt(taken)
    assert len(taken.asked) == 1


@pytest.mark.parametrize("adopting", [False, True])
def test_the_target_is_checked_before_the_owner(taken, api, tmp_path, adopting):
    text = (EXISTING % tmp_path).replace("context: c", "context: prod")
    taken.write(text, "stage")
    taken.live = replace(LIVE_CLUSTER, owner=Found("other"))
    with pytest.raises(UserError, match="belongs to tier prod, but the stack is of tier stage"):
        up.Up(tier_of("stage"), "environment", taken.progress, adopt=adopting).run()
    assert (taken.stacks, taken.calls, api.replaced, taken.read("stage")) == (set(), ["tools"], [], text)
    assert "takes the environment over" not in taken.printed.getvalue()


@pytest.mark.parametrize("secrets", [False, True])
def test_the_file_gets_the_salt_of_the_state_unless_its_secrets_need_the_old_one(machine, secrets):
    text = f"{EMBEDDED}  other:token: {{secure: v1:x}}\n" if secrets else EMBEDDED
    machine.write(f"{text}encryptionsalt: v1:elsewhere\n")
    machine.stacks, machine.state = {"dev"}, {"secrets_providers": {"type": "passphrase", "state": {"salt": "v1:mine"}}}
    machine.up("environment")
    assert stack_file.salt(machine.read()) == f"encryptionsalt: {'v1:elsewhere' if secrets else 'v1:mine'}"


@pytest.mark.parametrize("stacks", [set(), {"dev"}])
def test_down_of_another_backend_destroys_nothing(taken, stacks):
    taken.stacks, taken.state = stacks, state("mine")
    with pytest.raises(UserError, match=r"(?s)belongs to another owner.*--adopt.*node stop --remove-data"):
        down.main("dev")
    assert not [call for call in taken.calls if call.startswith(("destroy", "remove", "stop"))]


@pytest.mark.parametrize("up_here", [False, True])
def test_down_of_a_stack_of_the_tour_that_another_backend_owns_keeps_its_file(taken, up_here):
    tour_command.main(dry_run=False, force=False)
    text = stack_file.with_releases(taken.read(tour.PROD), "markdown", released(3))
    taken.write(text, tour.PROD)
    taken.stacks, taken.state = ({tour.PROD}, state("mine")) if up_here else (set(), {})
    with pytest.raises(UserError, match=r"(?s)tour-prod belongs to another owner.*s3://elsewhere"):
        down.main(tour.PROD)
    assert taken.read(tour.PROD) == text, "its releases and approvals are those of the running environment"
    assert taken.calls == []


@pytest.mark.parametrize("owner", [Found("mine"), Absent()])
def test_down_works_for_the_owner_and_if_the_cluster_does_not_say(machine, owner):
    machine.stacks, machine.state, machine.live = {"dev"}, state("mine"), live(owner, owner)
    down.main("dev")
    assert "destroy dev" in machine.calls


def test_down_refuses_an_environment_of_a_release_without_owners_that_another_state_has_created(machine):
    machine.stacks, machine.state, machine.live = {"dev"}, {}, live(Absent(), Found("uid of the Secret"))
    with pytest.raises(UserError, match=r"(?s)belongs to another owner.*state is elsewhere.*--adopt"):
        down.main("dev")
    assert machine.calls == []
