from __future__ import annotations

from common.errors import UserError


def test_an_error_shows_what_it_knows_in_one_block():
    error = UserError("The port is taken.", where="cluster.apiPort", found=6443, example="6444", fix="take another")
    assert str(error) == ("The port is taken.\n  where: cluster.apiPort\n  found: 6443\n  right: 6444\n  do:    take another")


def test_what_is_not_known_is_left_out():
    assert str(UserError("The network is down.")) == "The network is down."


def test_a_found_value_of_zero_is_shown():
    assert "found: 0" in str(UserError("Too few.", found=0)), "zero is a value, and often the wrong one"
