from __future__ import annotations

from common.errors import UserError


def test_an_error_message_shows_all_its_parts_in_one_block():
    error = UserError("The port is in use.", where="cluster.apiPort", found=6443, example="6444", fix="choose another port")
    assert str(error) == (
        "The port is in use.\n  where: cluster.apiPort\n  found: 6443\n  right: 6444\n  do:    choose another port"
    )


def test_an_error_message_omits_parts_without_a_value():
    assert str(UserError("The network is down.")) == "The network is down."


def test_a_found_value_of_zero_is_shown():
    assert "found: 0" in str(UserError("Too few.", found=0)), "zero is a value, and often the wrong one"
