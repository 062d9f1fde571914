"""The status of variants, from Deployments and a stack file."""

import types

import pytest

from common import paths
from common.errors import UserError
from delivery.environments import environment, status
from delivery.environments.outputs import Outputs
from delivery.stacks import backend
from infra.settings.releases import Release, WorkloadReleases
from tests.releases import AGED, MARKDOWN, RUN, STACK_FILE, TODAY, approved, image, release, released
from tests.releases import DIGEST as DATA

DIGEST = image(3)
RELEASES = WorkloadReleases.model_validate(released(3))
OUTPUTS = Outputs.model_validate(
    {
        "kubeconfig": "k",
        "registry": "r",
        "servingImage": "i",
        "tracking": {"url": "u", "username": "n", "password": "p"},
        "endpoints": {"markdown": {"url": "http://localhost:30001", "version": 3, "run": RUN, "image": "i"}},
    }
)


def deployment(version, *, ready=1):
    labels = {"modelstack.dev/workload": "markdown", "modelstack.dev/role": "stable", "modelstack.dev/version": str(version)}
    return {
        "metadata": {"labels": labels, "annotations": {"modelstack.dev/run": RUN}},
        "spec": {"template": {"spec": {"containers": [{"image": f"localhost:5000/markdown-serving@{DIGEST}"}]}}},
        "status": {
            "replicas": 1,
            **({"readyReplicas": ready} if ready else {}),
            "conditions": [{"type": "Progressing", "status": "True", "lastUpdateTime": "2026-01-02T03:04:05Z"}],
        },
    }


def test_a_variant_has_the_details_of_its_deployment_and_its_release():
    found = status.variant(deployment(3), {"markdown": RELEASES}, OUTPUTS, TODAY)
    assert (found.version, found.run, found.image, found.data) == (3, RUN, DIGEST, DATA)
    assert (found.since, found.ready, found.replicas) == ("2026-01-02T03:04:05Z", 1, 1)
    assert found.endpoint == "http://localhost:30001"


def test_a_version_that_is_not_in_the_stack_file_has_no_data_fingerprint():
    assert status.variant(deployment(2), {"markdown": RELEASES}, OUTPUTS, TODAY).data == ""


def test_a_deployment_without_ready_replicas_has_zero_ready():
    assert status.variant(deployment(3, ready=0), {}, OUTPUTS, TODAY).ready == 0


def test_a_release_that_does_not_run_is_pending():
    running = status.variant(deployment(2), {}, OUTPUTS, TODAY)
    assert status.pending({"markdown": RELEASES}, [running]) == ["markdown version 3"]
    assert status.pending({"markdown": RELEASES}, [status.variant(deployment(3), {}, OUTPUTS, TODAY)]) == []


def test_the_traffic_of_a_role_comes_from_the_stack_file():
    releases = WorkloadReleases.model_validate(released(3, 4, 5, canary={"version": 4, "percent": 10}, shadow=5))
    assert [status.traffic(role, releases) for role in ("stable", "canary", "shadow")] == ["90 %", "10 %", "copy"]
    assert status.traffic("stable", RELEASES) == "100 %"


def test_a_variant_shows_the_result_of_the_gate_and_the_approver():
    block = released(3)
    found = status.variant(deployment(3), {"markdown": RELEASES}, OUTPUTS, TODAY)
    assert (found.traffic, found.gate, found.approved_by) == ("100 %", "passed", "")
    block["versions"][0]["evidence"]["metrics"]["wape"] = 0.5
    worse = WorkloadReleases.model_validate(approved("prod", block))
    found = status.variant(deployment(3), {"markdown": worse}, OUTPUTS, TODAY)
    assert (found.gate, found.approved_by) == ("failed", "approver@example.com")


def test_a_served_release_with_old_data_passes_and_the_status_mentions_its_age():
    def gate(workload, until, **metrics):
        evidence = release(3)["evidence"]
        made = evidence | {"until": until, "metrics": evidence["metrics"] | metrics}
        return status.gate(workload, Release.model_validate(release(3, evidence=made)), TODAY)

    assert gate(AGED, "2026-08-26") == "passed"
    assert gate(AGED, "2026-08-25") == "passed, age aside"
    assert gate(AGED, "2026-08-26", wape=0.5) == "failed"
    assert gate(AGED, "2026-08-25", wape=0.5) == "failed"
    assert gate(MARKDOWN, "1992-10-07") == "passed", "the gate of markdown has no rule about age"


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """A stack in a cluster without Deployments. The test says what reading its outputs does."""

    class Environment:
        cluster = types.SimpleNamespace(items=lambda *_: [])

        @property
        def outputs(self):
            return read()

    def read():
        raise UserError("The outputs cannot be read.")

    (tmp_path / "Pulumi.stage.yaml").write_text(STACK_FILE)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(backend, "has_stack", lambda _name: True)
    monkeypatch.setattr(environment.Environment, "open", lambda _name: Environment())


def test_a_stack_whose_outputs_cannot_be_read_is_a_row_of_the_status(stage):
    found = status.stack_status("stage")
    assert (found.state, found.variants) == ("The outputs cannot be read.", []), "the other stacks are still listed"
