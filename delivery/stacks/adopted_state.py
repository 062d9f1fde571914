"""The state of a stack that takes an environment over: with the environment's passwords, and a new id of the owner.

The engine would make new passwords, because it does not know those of another state. MLflow's database remembers the old one of
the administrator. So the passwords are written into the state before the first update.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, cast

from common.naming import OWNER_ID, PROJECT
from common.outputs import RELEASES
from local.plugins.random import bcrypt_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

State = dict[str, Any]  # JSON of the engine
_SECRET_KEY: Final = "4dabf18193072939515e22adb298388d"  # noqa: S105 the name of a field
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 a constant
"""A mapping with this key and this value is a secret (Pulumi's `resource.SigKey` and `resource.SecretSig`). The engine encrypts
its `plaintext` when it imports a state."""
_PASSWORD: Final = "random:index/randomPassword:RandomPassword"  # noqa: S105 a type
_UUID: Final = "random:index/randomUuid:RandomUuid"
_OWNER: Final = ("owner:Owner", "owner")


@dataclass(frozen=True, kw_only=True)
class Password:
    """A password of an environment: where the state has it, and where the cluster has it."""

    component: str
    """The type of the component that declares it, without the project, for example `postgres:Postgres`."""
    parent: str
    """The name of that component."""
    name: str
    source: str
    """The name of the Secret in the namespace of the tracking server."""
    key: str

    def urn(self, stack: str) -> str:
        """Returns the URN of the resource."""
        return _urn(stack, f"{PROJECT}:{self.component}${_PASSWORD}", self.name)


PASSWORDS: Final = (
    Password(component="postgres:Postgres", parent="postgres", name="postgres-password", source="postgres", key="password"),
    Password(
        component="tracking:Tracking",
        parent="tracking",
        name="tracking-password",
        source="tracking",
        key="MLFLOW_AUTH_ADMIN_PASSWORD",
    ),
    Password(
        component="tracking:Tracking",
        parent="tracking",
        name="tracking-session-key",
        source="tracking",
        key="MLFLOW_FLASK_SERVER_SECRET_KEY",
    ),
)
"""All passwords of an environment. A test compares this table with what the program declares."""


def outputs_by_urn(state: State) -> dict[str, State]:
    """Returns the outputs of each resource of a state, by URN."""
    return {str(resource["urn"]): resource.get("outputs") or {} for resource in _live(state)}


def salt(state: State) -> str:
    """Returns the encryption salt of the passphrase that encrypts a state; empty if it is not encrypted with a passphrase."""
    provider = cast("State", state.get("secrets_providers") or {})
    if provider.get("type") != "passphrase":
        return ""
    recorded = cast("State", provider.get("state") or {})
    return str(recorded.get("salt") or "")


def adopted(state: State, stack: str, passwords: Mapping[str, str], releases: Mapping[str, object]) -> State:
    """Returns the state with the passwords and the releases of an environment, and with an id of an owner.

    Args:
        state: the deployment as the engine exports it, also that of a new stack. It is not changed.
        stack: the name of the stack.
        passwords: by the names of `PASSWORDS`.
        releases: the deployed releases, with the content of the output `releases`. Empty: those of the state stay.
    """
    made = _State(json.loads(json.dumps(state)), stack)
    root = made.ensure("pulumi:pulumi:Stack", f"{PROJECT}-{stack}", {})
    if releases:
        root["outputs"] = {**(root.get("outputs") or {}), RELEASES: dict(releases)}
    for password in PASSWORDS:
        if password.name in passwords:
            made.put_password(password, passwords[password.name])
    made.ensure_owner()
    return made.state


@dataclass
class _State:
    state: State
    stack: str

    def find(self, urn: str) -> State | None:
        return next((resource for resource in _live(self.state) if resource["urn"] == urn), None)

    def ensure(self, kind: str, name: str, fields: State) -> State:
        """Returns the resource of that type and name, and adds it with these fields if the state does not have it."""
        urn = _urn(self.stack, kind, name)
        found = self.find(urn)
        if found is None:
            found = {"urn": urn, "type": kind.rpartition("$")[2], "custom": False, **fields}
            resources = cast("list[State]", self.state.get("resources") or [])
            self.state["resources"] = [*resources, found]
        return found

    def component(self, kind: str, name: str) -> str:
        """Returns the URN of a component, and adds it if the state does not have it."""
        root = _urn(self.stack, "pulumi:pulumi:Stack", f"{PROJECT}-{self.stack}")
        return str(self.ensure(f"{PROJECT}:{kind}", name, {"parent": root})["urn"])

    def provider(self) -> str:
        """Returns the reference of the default provider of passwords, and adds it if the state does not have it."""
        version = metadata.version("pulumi-random")
        fields: State = {
            "custom": True,
            "id": str(uuid.uuid4()),
            "inputs": {"__internal": {}, "version": version},
            "outputs": {"version": version},
        }
        found = self.ensure("pulumi:providers:random", f"default_{version.replace('.', '_')}", fields)
        return f"{found['urn']}::{found['id']}"

    def put_password(self, password: Password, value: str) -> None:
        parent = self.component(password.component, password.parent)
        inputs = {"length": len(value), "special": False}
        kind = f"{PROJECT}:{password.component}${_PASSWORD}"
        fields: State = {
            "custom": True,
            "id": "none",
            "parent": parent,
            "provider": self.provider(),
            "inputs": inputs,
            "outputs": {**inputs, **dict.fromkeys(("lower", "upper", "numeric", "number"), True)}
            | dict.fromkeys(("minLower", "minUpper", "minNumeric", "minSpecial"), 0),
            "additionalSecretOutputs": ["bcryptHash", "result"],
            "propertyDependencies": {"length": [], "special": []},
        }
        resource = self.ensure(kind, password.name, fields)
        resource["outputs"] = {**resource["outputs"], "result": _secret(value), "bcryptHash": _secret(bcrypt_hash(value))}

    def ensure_owner(self) -> None:
        kind, name = _OWNER
        identifier = str(uuid.uuid4())
        fields: State = {
            "custom": True,
            "id": identifier,
            "parent": self.component(kind, name),
            "provider": self.provider(),
            "inputs": {},
            "outputs": {"result": identifier},
        }
        self.ensure(f"{PROJECT}:{kind}${_UUID}", OWNER_ID, fields)


def _live(state: State) -> list[State]:
    resources = cast("list[State]", state.get("resources") or [])
    return [resource for resource in resources if not resource.get("delete")]


def _urn(stack: str, kind: str, name: str) -> str:
    return f"urn:pulumi:{stack}::{PROJECT}::{kind}::{name}"


def _secret(value: str) -> State:
    return {_SECRET_KEY: _SECRET, "plaintext": json.dumps(value)}
