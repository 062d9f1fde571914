"""The `random` resources through the real engine."""

import re
import uuid

from tests.engine.harness.plain import project, template

__all__ = ["project", "template"]  # fixtures


HEAD = "import pulumi\nimport pulumi_random as random\n"
EVERYTHING = """
keepers = {"keeper": KEEPER}
password = random.RandomPassword("password", length=16, keepers=keepers)
pulumi.export("password", password.result)
pulumi.export("bcrypt", password.bcrypt_hash)
pulumi.export("string", random.RandomString("string", length=8, special=False, keepers=keepers).result)
pulumi.export("id", random.RandomId("id", byte_length=4, keepers=keepers).hex)
pulumi.export("integer", random.RandomInteger("integer", min=1, max=6, keepers=keepers).result)
pulumi.export("pet", random.RandomPet("pet", keepers=keepers).id)
pulumi.export("uuid", random.RandomUuid("uuid", keepers=keepers).result)
pulumi.export("uuid7", random.RandomUuid7("uuid7", keepers=keepers).result)
pulumi.export("bytes", random.RandomBytes("bytes", length=4, keepers=keepers).hex)
pulumi.export("shuffle", random.RandomShuffle("shuffle", inputs=["a", "b"], result_count=3, keepers=keepers).results)
"""


def everything(keeper):
    return HEAD + EVERYTHING.replace("KEEPER", repr(keeper))


def test_values_are_drawn_once_and_again_when_a_keeper_changes(project):
    preview = project.preview(everything("a"))
    assert not preview.failed, preview.error
    first = project.up(everything("a"))
    assert not first.failed, first.error
    assert set(map(tuple, first.operations.values())) == {("create",)}
    assert len(first.outputs["password"]) == 16
    assert first.outputs["bcrypt"].startswith("$2a$10$")
    assert re.fullmatch("[0-9A-Za-z]{8}", first.outputs["string"])
    assert re.fullmatch("[0-9a-f]{8}", first.outputs["id"])
    assert 1 <= first.outputs["integer"] <= 6
    assert re.fullmatch("[a-z]+-[a-z]+", first.outputs["pet"])
    assert uuid.UUID(first.outputs["uuid"]).version == 4
    assert first.outputs["uuid7"][14] == "7"
    assert len(first.outputs["shuffle"]) == 3

    again = project.up(everything("a"))
    assert again.outputs == first.outputs
    assert set(map(tuple, again.operations.values())) == {("same",)}
    assert not project.refresh().failed

    other = project.up(everything("b"))
    assert not other.failed, other.error
    assert other.outputs["password"] != first.outputs["password"]
    assert other.differences["password"] == {"keepers": "update-replace"}
    assert not project.destroy().failed


def test_a_password_is_nowhere_in_the_state(project):
    done = project.up(everything("a"))
    for name in ("password", "bcrypt", "bytes"):
        assert done.outputs[name] not in project.stored(), f"{name} is a secret"
    assert done.outputs["string"] in project.stored(), "a string is none"


def imported(length):
    password = f"random.RandomPassword('password', length={length}, opts=pulumi.ResourceOptions(import_='in*ported'))"
    return f"{HEAD}pulumi.export('password', {password}.result)\n"


def test_a_password_can_be_imported(project):
    assert "length" in project.up(imported(8)).error, "an import whose inputs differ is refused by the engine"
    assert project.up(imported(9)).outputs["password"] == "in*ported"


def test_what_nothing_can_be_drawn_for_is_refused_in_the_preview(project):
    refused = project.preview(f"{HEAD}random.RandomInteger('integer', min=5, max=1)\n")
    assert refused.failed
    assert "greater than the maximum" in refused.error
