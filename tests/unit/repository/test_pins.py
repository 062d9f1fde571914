"""A version that is written in several files is the same in all of them."""

from __future__ import annotations

import re

import pytest

from common.paths import CHECKOUT

PINNED = re.search(r"^UV_VERSION := (\S+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)[1]
IMAGES = [file for file in sorted((CHECKOUT / "components/images").glob("*/Dockerfile")) if "uv export" in file.read_text()]


def test_the_images_with_python_packages_are_serving_tracking_and_training():
    assert {file.parent.name for file in IMAGES} == {"serving", "tracking", "training"}


@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.parent.name)
def test_an_image_is_built_with_the_uv_version_of_the_makefile(file):
    assert re.findall(r"uv==(\S+)", file.read_text()) == [PINNED], (
        "another version may be unable to read the lock file, or install different packages"
    )


def test_images_that_are_built_at_the_same_time_share_no_layer():
    labels = [
        re.search(r"FROM \S+ AS python\n(?:#.*\n)*LABEL modelstack.image=(\S+)\n", file.read_text())[1] for file in IMAGES
    ]
    assert labels == [file.parent.name for file in IMAGES], "otherwise a later build cannot reuse the layers of this one"


def test_the_installed_go_is_new_enough_for_the_toolchains_modules():
    installed = re.search(r"^go_version=(\S+)", (CHECKOUT / "local/hosttools.sh").read_text(), re.MULTILINE)[1]
    for module in (CHECKOUT / "local/toolchain").glob("*/go.mod"):
        required = re.search(r"^go (\S+)$", module.read_text(), re.MULTILINE)[1]
        assert [int(part) for part in installed.split(".")] >= [int(part) for part in required.split(".")], module
