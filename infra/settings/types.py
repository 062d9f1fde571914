"""Scalars with a format of their own, as the stack files write them. Each carries an example that messages and editors show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from workloads.declaration import Fingerprint, WorkloadName

_DIGEST_EXAMPLE: Final = "sha256:" + "9f86d081884c7d659a2feaa0c55ad015" * 2

ModelName = Annotated[WorkloadName, Field(examples=["markdown"])]
"""A workload and its registered model: they share one name."""
ModelVersion = Annotated[int, Field(ge=1, examples=[3])]
"""A version in the model registry. Never an alias: an alias moves."""
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=["0f3cb14f6d2d4a0c9c1f6f6a1c2b3d4e"])]
"""An MLflow run."""
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}(-dirty)?$", examples=["1a2b3c4d5e6f"])]
"""A git commit; `-dirty` where the checkout held changes that no commit has."""
ImageDigest = Annotated[Fingerprint, Field(examples=[_DIGEST_EXAMPLE])]
"""An image as the registry knows it (the digest of its manifest), not the id that a builder gives it."""
ContentDigest = Annotated[Fingerprint, Field(examples=[_DIGEST_EXAMPLE])]
"""The SHA-256 of a file or of a data set."""
Person = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254, examples=["alice@example.com"])]
"""Somebody, by mail address: as git knows them."""
Moment = Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z$", examples=["2026-11-24T10:30:00Z"])]
"""A second, in UTC."""


def _in_the_calendar(day: str) -> str:
    try:
        date.fromisoformat(day)
    except ValueError:
        raise PydanticCustomError("day", "Input should be a day that the calendar has") from None
    return day


Day = Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}$", examples=["2026-11-24"]), AfterValidator(_in_the_calendar)]
"""A day. Text, in quotes: the engine and the command would each make something else of a YAML date."""
Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$", examples=["c2lnbmF0dXJl" * 7 + "aa=="])]
"""An Ed25519 signature (RFC 8032), 64 bytes in base64."""
RegistryAddress = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*$", examples=["localhost:5000"]),
]
"""Host, port and path below which images are pushed, without a scheme."""
ImageReference = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$",
        examples=["localhost:5000/base:bookworm"],
    ),
]
"""An image with a tag or a digest. No tag would mean `latest`, which moves."""
HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253, examples=["mlflow.example.com"])]
"""A name or address that a client can reach."""
_HIGHEST_PORT: Final = 65535
Port = Annotated[int, Field(ge=1, le=_HIGHEST_PORT, examples=[6443])]
NodePort = Annotated[int, Field(ge=30000, le=32767, examples=[30001])]
"""A port that a Service opens on every node; Kubernetes takes no other by default."""
Storage = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$", examples=["2Gi"])]
"""The size of a volume."""
StorageClass = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253, examples=["azurefile-csi"])]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi)$", examples=["512Mi"])]
"""Of one container: what it asks for is also what it may use, so that no pod lives on memory it was not promised."""


def _text_of_whole(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_CPU: Final = r"^[1-9][0-9]*m?$"
Cpu = Annotated[
    str,
    Field(pattern=_CPU),
    BeforeValidator(_text_of_whole),
    WithJsonSchema({"type": ["string", "integer"], "pattern": _CPU, "minimum": 1, "examples": ["500m"]}),
]
"""Cores (`2`) or thousandths of one (`500m`)."""

_RANGE: Final = re.compile(r"^([0-9]{1,5})-([0-9]{1,5})$")


@dataclass(frozen=True, order=True)
class PortRange:
    """Ports from `first` to `last`, both included. Written `30000-30031`."""

    first: int
    last: int

    @classmethod
    def of(cls, value: object) -> PortRange:
        """Reads `first-last`; a range stays what it is.

        Raises:
            PydanticCustomError: not two ports with a dash between, or the first above the last.
        """
        if isinstance(value, PortRange):
            return value
        match = _RANGE.match(value) if isinstance(value, str) else None
        ports = cls(int(match[1]), int(match[2])) if match else None
        if ports is None or not 1 <= ports.first <= ports.last <= _HIGHEST_PORT:
            raise PydanticCustomError("port_range", "Input should be two ports with a dash between, the lower one first")
        return ports

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """A range is a string in the file and this type in the program."""
        return core_schema.no_info_plain_validator_function(cls.of, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": _RANGE.pattern, "examples": ["30000-30031"]}
