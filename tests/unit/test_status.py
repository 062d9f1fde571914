"""What status makes of a Deployment and a stack file."""

from components import variant
from delivery import status
from delivery.outputs import Outputs
from infra.settings import Release

RUN, DIGEST = "a" * 32, "sha256:" + "b" * 64
RELEASE = Release.model_validate(
    {
        "version": 3,
        "run": RUN,
        "image": DIGEST,
        "data": "sha256:" + "d" * 64,
        "revision": "1234567",
        "evidence": {"report": DIGEST, "metrics": {"wape": 0.4}},
    }
)
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
    found = status.variant(deployment(3), {"markdown": RELEASE}, OUTPUTS)
    assert (found.version, found.run, found.image, found.data) == (3, RUN, DIGEST, RELEASE.data)
    assert (found.since, found.ready, found.replicas) == ("2026-01-02T03:04:05Z", 1, 1)
    assert found.endpoint == "http://localhost:30001"


def test_data_is_not_made_up_for_a_version_that_the_stack_file_does_not_release():
    assert status.variant(deployment(2), {"markdown": RELEASE}, OUTPUTS).data == ""


def test_a_variant_without_a_ready_replica_has_none():
    assert status.variant(deployment(3, ready=0), {}, OUTPUTS).ready == 0


def test_a_release_that_does_not_run_is_pending():
    running = status.variant(deployment(2), {}, OUTPUTS)
    assert status.pending({"markdown": RELEASE}, [running]) == ["markdown version 3"]
    assert status.pending({"markdown": RELEASE}, [status.variant(deployment(3), {}, OUTPUTS)]) == []


def test_labels_are_those_that_the_variants_carry():
    assert {variant.WORKLOAD_LABEL, variant.VERSION_LABEL} == set(status.SELECTOR.split(","))
