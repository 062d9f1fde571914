"""What status makes of a Deployment and a stack file."""

from components import variant
from delivery import status
from delivery.outputs import Outputs
from infra.releases import WorkloadReleases
from tests.releases import DIGEST as DATA
from tests.releases import RUN, approved, image, released

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


def test_what_runs_is_told_with_the_data_of_its_release():
    found = status.variant(deployment(3), {"markdown": RELEASES}, OUTPUTS)
    assert (found.version, found.run, found.image, found.data) == (3, RUN, DIGEST, DATA)
    assert (found.since, found.ready, found.replicas) == ("2026-01-02T03:04:05Z", 1, 1)
    assert found.endpoint == "http://localhost:30001"


def test_data_is_not_made_up_for_a_version_that_the_stack_file_does_not_release():
    assert status.variant(deployment(2), {"markdown": RELEASES}, OUTPUTS).data == ""


def test_a_variant_without_a_ready_replica_has_none():
    assert status.variant(deployment(3, ready=0), {}, OUTPUTS).ready == 0


def test_a_release_that_does_not_run_is_pending():
    running = status.variant(deployment(2), {}, OUTPUTS)
    assert status.pending({"markdown": RELEASES}, [running]) == ["markdown version 3"]
    assert status.pending({"markdown": RELEASES}, [status.variant(deployment(3), {}, OUTPUTS)]) == []


def test_labels_are_those_that_the_variants_carry():
    assert {variant.WORKLOAD_LABEL, variant.VERSION_LABEL} == set(status.SELECTOR.split(","))


def test_traffic_is_what_the_stack_file_gives():
    releases = WorkloadReleases.model_validate(released(3, 4, 5, canary={"version": 4, "percent": 10}, shadow=5))
    assert [status.traffic(role, releases) for role in ("stable", "canary", "shadow")] == ["90 %", "10 %", "copy"]
    assert status.traffic("stable", RELEASES) == "100 %"


def test_whether_the_evidence_passes_is_told_and_who_approved():
    block = released(3)
    found = status.variant(deployment(3), {"markdown": RELEASES}, OUTPUTS)
    assert (found.traffic, found.gate, found.approved_by) == ("100 %", "passed", "")
    block["versions"][0]["evidence"]["metrics"]["wape"] = 0.5
    worse = WorkloadReleases.model_validate(approved("prod", block))
    found = status.variant(deployment(3), {"markdown": worse}, OUTPUTS)
    assert (found.gate, found.approved_by) == ("failed", "approver@example.com")
