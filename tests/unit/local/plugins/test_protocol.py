"""Values cross the protocol as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from local.plugins.protocol.values import UNKNOWN, Secret, from_struct, has_secret, has_unknown, reveal, same_secrets, to_struct

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4))
def test_values_come_back_from_the_protocol_as_they_were(value):
    assert from_struct(to_struct(value)) == value


def test_secrets_and_unknowns_survive_the_protocol_at_any_depth():
    value = {"a": [Secret({"b": "hunter2"})], "c": {"d": UNKNOWN}}
    back = from_struct(to_struct(value))
    assert back == value
    assert has_secret(back), "a secret inside a list is still one"
    assert has_unknown(back), "an unknown is not a string"
    assert reveal(back)["a"] == [{"b": "hunter2"}]
    assert "hunter2" not in repr(back), "a secret's text is not what a log shows"


def test_a_list_with_a_secret_that_changes_its_length_is_hidden_as_a_whole():
    assert same_secrets(["a"], ["a", Secret("b")]) == Secret(["a"]), "nobody knows which of them it was"
