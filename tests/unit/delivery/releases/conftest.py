"""A checkout in which releases go from one stack file into the next."""

import pytest

from tests.promotions import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
