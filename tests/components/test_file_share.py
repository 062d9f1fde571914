from __future__ import annotations

import pulumi
import pytest

from components.file_share import FileShare, FileShareArgs
from tests.harness import run


def share(**changes):
    args = {"namespace": "training", "size": "5Gi"} | changes
    return run(lambda: pulumi.export("claim", FileShare("data", FileShareArgs(**args)).claim))


def test_several_pods_may_write_to_a_share_at_once():
    claim = share().one("PersistentVolumeClaim")
    assert claim.inputs["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim.inputs["spec"]["resources"] == {"requests": {"storage": "5Gi"}}


def test_the_output_is_the_name_of_the_claim():
    declared = share()
    assert declared.outputs["claim"] == declared.one("PersistentVolumeClaim").inputs["metadata"]["name"] == "data"


@pytest.mark.parametrize("storage_class", [None, "azurefile-csi"])
def test_the_storage_class_is_the_default_of_the_cluster_unless_it_is_set(storage_class):
    spec = share(storage_class=storage_class).one("PersistentVolumeClaim").inputs["spec"]
    assert spec.get("storageClassName") == storage_class


def test_a_share_does_not_wait_for_its_first_pod():
    annotations = share().one("PersistentVolumeClaim").inputs["metadata"]["annotations"]
    assert annotations["pulumi.com/skipAwait"] == "true", (
        "with a class that binds on first use, the claim and its pod would wait for each other"
    )


@pytest.mark.parametrize("protect", [True, False])
def test_a_share_can_be_protected(protect):
    assert share(protect=protect).one("PersistentVolumeClaim").protect is protect
