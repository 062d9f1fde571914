"""The state of a stack that takes an environment over."""

from __future__ import annotations

from delivery.stacks import adopted_state
from tests.releases import METRICS, image

VALUES = {"postgres-password": "p" * 32, "tracking-password": "t" * 32, "tracking-session-key": "s" * 32}
RECORD = {"markdown": {"version": 3, "image": image(3), "metrics": METRICS, "proven": [image(2), image(3)], "canary": None}}


def test_the_table_of_passwords_is_what_the_program_declares():
    from tests.releases import run_released  # noqa: PLC0415 slow, and needed here alone

    declared = run_released("prod")
    found = {each.urn.replace("pulumi:pulumi:Stack$", ""): each for each in declared.all("RandomPassword")}
    assert {password.urn("prod") for password in adopted_state.PASSWORDS} == set(found), "or `--adopt` would make it new"
    made = adopted_state.adopted({}, "prod", VALUES, {})
    for password in adopted_state.PASSWORDS:
        (resource,) = [each for each in made["resources"] if each["urn"] == password.urn("prod")]
        assert resource["inputs"] == found[password.urn("prod")].inputs, "the engine would replace it"
        assert resource["parent"].endswith(f"::{found[password.urn('prod')].parent}")
        secret = declared.one("Secret", f"{password.source}-secret")
        assert secret.inputs["metadata"]["name"] == password.source
        assert secret.inputs["stringData"].value[password.key] == f"password of {password.name}"


def test_a_state_is_in_the_order_that_the_engine_needs_and_the_given_one_stays_as_it_is():
    before = {"resources": []}
    made = adopted_state.adopted(before, "dev", VALUES, RECORD)
    assert before == {"resources": []}
    seen = set()
    for resource in made["resources"]:
        assert resource.get("parent", "") in {"", *seen}, "parents come first"
        assert resource.get("provider", "").rpartition("::")[0] in {"", *seen}, "and so do providers"
        seen.add(resource["urn"])
    assert adopted_state.adopted(made, "dev", VALUES, RECORD).keys() == made.keys()
    assert len(adopted_state.adopted(made, "dev", VALUES, RECORD)["resources"]) == len(made["resources"])


def test_the_salt_of_a_state_is_that_of_a_passphrase():
    assert adopted_state.salt({"secrets_providers": {"type": "passphrase", "state": {"salt": "v1:x"}}}) == "v1:x"
    for other in ({}, {"secrets_providers": {"type": "service", "state": {"url": "u"}}}):
        assert adopted_state.salt(other) == ""
