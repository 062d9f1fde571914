"""A temporary checkout with stack files, for tests of promotion."""

import pytest

from tests.promotions import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
