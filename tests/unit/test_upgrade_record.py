"""What turns a state into test data: no secret stays, wherever it stands, and what is not known to be replaced is refused."""

from __future__ import annotations

import base64
import json

import pytest

from tests.engine.upgrade import record

PASSWORD = "Zq8mW1xT4kPv7sNa"
DRAWN = {"type": record.PASSWORD, "urn": "urn:pulumi:dev::p::random:index/randomPassword:RandomPassword::database-password"}


def secret(value):
    return {record.SIGNATURE: record.SECRET, "plaintext": json.dumps(value)}


def cleaned(**outputs):
    """The outputs of a resource beside a password, after the cleaning."""
    drawn = DRAWN | {"outputs": {"result": secret(PASSWORD)}}
    other = {"type": "t", "urn": "urn:pulumi:dev::p::t::other", "outputs": outputs, "stackTrace": ["/home/somebody"]}
    made = record.cleaned({"manifest": {}, "resources": [drawn, other]})["resources"]
    assert "stackTrace" not in made[1]
    fake = json.loads(made[0]["outputs"]["result"]["plaintext"])
    assert len(fake) == len(PASSWORD)
    assert fake != PASSWORD
    return fake, {name: json.loads(value["plaintext"]) for name, value in made[1]["outputs"].items()}


def test_a_password_is_the_same_fake_in_urls_files_and_base64():
    encoded = base64.b64encode(f"[mlflow]\nadmin_password = {PASSWORD}\n".encode()).decode()
    fake, found = cleaned(url=secret(f"postgresql://user:{PASSWORD}@host"), data=secret({"basic_auth.ini": encoded}))
    assert found["url"] == f"postgresql://user:{fake}@host"
    assert base64.b64decode(found["data"]["basic_auth.ini"]).decode() == f"[mlflow]\nadmin_password = {fake}\n"


def test_the_credentials_of_a_kubeconfig_are_replaced_and_its_shape_stays():
    key = base64.b64encode(b"-----BEGIN PRIVATE KEY-----").decode()
    _, found = cleaned(kubeconfig=secret(json.dumps({"clusters": [], "users": [{"user": {"client-key-data": key}}]}, indent=2)))
    (user,) = json.loads(found["kubeconfig"])["users"]
    assert base64.b64decode(user["user"]["client-key-data"]) == b"not a credential"


def test_a_secret_without_a_known_replacement_is_refused():
    with pytest.raises(record.RefusalError, match=r"other\.outputs\.token"):
        cleaned(token=secret("of an unknown kind"))


def test_a_word_of_this_machine_is_refused():
    record.refuse_private("runAsNonRoot: true, rooted", {"root"}, "dev.json")
    with pytest.raises(record.RefusalError, match="'root'"):
        record.refuse_private("/root/.pyenv", {"root"}, "dev.json")
