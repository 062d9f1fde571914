"""Each part of the foundation is declared as its settings say."""

from __future__ import annotations

import pytest

from tests.releases import run_released


def claims(**replaced):
    """The volume claims of stage, by name."""
    declared = run_released("stage", replaced=replaced)
    return {each.inputs["metadata"]["name"]: each for each in declared.all("PersistentVolumeClaim")}


def test_each_volume_has_the_class_of_its_access_mode():
    found = {name: each.inputs["spec"] for name, each in claims(storageClasses={"volumes": "disk", "shares": "files"}).items()}
    assert {name: (spec["accessModes"], spec["storageClassName"]) for name, spec in found.items()} == {
        "postgres": (["ReadWriteOnce"], "disk"),
        "artifacts": (["ReadWriteMany"], "files"),
        "data": (["ReadWriteMany"], "files"),
    }


def test_each_volume_has_the_size_of_the_section_that_fills_it():
    found = claims(database={"storage": "11Gi"}, tracking={"storage": "12Gi"}, training={"storage": "13Gi"})
    sizes = {name: each.inputs["spec"]["resources"]["requests"]["storage"] for name, each in found.items()}
    assert sizes == {"postgres": "11Gi", "artifacts": "12Gi", "data": "13Gi"}


@pytest.mark.parametrize(("section", "volume"), [("database", "postgres"), ("tracking", "artifacts")])
def test_a_section_protects_its_own_volume_and_no_other(section, volume):
    found = claims(**{"database": {}, "tracking": {}} | {section: {"protect": True}})
    assert [name for name, each in found.items() if each.protect] == [volume], "the engine refuses to delete what is protected"
