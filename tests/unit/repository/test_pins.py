"""What is written down in more than one place is the same everywhere."""

from __future__ import annotations

import re

import pytest

from common.paths import CHECKOUT

PINNED = re.search(r"^UV_VERSION := (\S+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)[1]
IMAGES = [file for file in sorted((CHECKOUT / "components/images").glob("*/Dockerfile")) if "uv export" in file.read_text()]


def test_there_are_images_with_python_packages():
    assert {file.parent.name for file in IMAGES} == {"serving", "tracking", "training"}


@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.parent.name)
def test_an_image_is_made_with_the_uv_that_made_the_lock(file):
    assert re.findall(r"uv==(\S+)", file.read_text()) == [PINNED], "another one may not read the lock, or install otherwise"


def test_images_that_are_built_at_the_same_time_share_no_layer():
    labels = [
        re.search(r"FROM \S+ AS python\n(?:#.*\n)*LABEL modelstack.image=(\S+)\n", file.read_text())[1] for file in IMAGES
    ]
    assert labels == [file.parent.name for file in IMAGES], "else the next build makes anew what another made meanwhile"


def test_go_is_new_enough_for_what_is_built_with_it():
    installed = re.search(r"^go_version=(\S+)", (CHECKOUT / "local/hosttools.sh").read_text(), re.MULTILINE)[1]
    for module in (CHECKOUT / "local/toolchain").glob("*/go.mod"):
        asked = re.search(r"^go (\S+)$", module.read_text(), re.MULTILINE)[1]
        assert [int(part) for part in installed.split(".")] >= [int(part) for part in asked.split(".")], module
