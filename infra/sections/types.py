"""The scalar types of stack files. Each type has a format and an example; error messages and editors show the example."""

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
"""The name of a workload, which is also the name of its registered model."""
ModelVersion = Annotated[int, Field(ge=1, examples=[3])]
"""A version in the model registry. Aliases are not allowed, because an alias can point to another version later."""
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=["0f3cb14f6d2d4a0c9c1f6f6a1c2b3d4e"])]
"""The id of an MLflow run."""
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}(-dirty)?$", examples=["1a2b3c4d5e6f"])]
"""A git commit, followed by `-dirty` if the checkout contained uncommitted changes."""
ImageDigest = Annotated[Fingerprint, Field(examples=[_DIGEST_EXAMPLE])]
"""The digest of an image's manifest in the container registry, not the image id that a builder assigns."""
ContentDigest = Annotated[Fingerprint, Field(examples=[_DIGEST_EXAMPLE])]
"""The SHA-256 digest of a file or a data set."""
Person = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254, examples=["alice@example.com"])]
"""A person's email address, as configured in git."""
Moment = Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z$", examples=["2026-11-24T10:30:00Z"])]
"""A time in UTC, to the second."""


def _valid_date(day: str) -> str:
    try:
        date.fromisoformat(day)
    except ValueError:
        raise PydanticCustomError("day", "Input should be a valid date") from None
    return day


Day = Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}$", examples=["2026-11-24"]), AfterValidator(_valid_date)]
"""A date, as text in quotes: the engine and the `modelstack` command would convert an unquoted YAML date differently."""
Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$", examples=["c2lnbmF0dXJl" * 7 + "aa=="])]
"""An Ed25519 signature (RFC 8032), 64 bytes in base64."""
RegistryAddress = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*$", examples=["localhost:5000"]),
]
"""The host, port and path prefix of a container registry, without a scheme."""
ImageReference = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$",
        examples=["localhost:5000/base:bookworm"],
    ),
]
"""An image with a tag or a digest. Without either, it would mean the tag `latest`, which can point to another image later."""
HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253, examples=["mlflow.example.com"])]
"""A host name or address that clients can reach."""
_HIGHEST_PORT: Final = 65535
Port = Annotated[int, Field(ge=1, le=_HIGHEST_PORT, examples=[6443])]
NodePort = Annotated[int, Field(ge=30000, le=32767, examples=[30001])]
"""A port that a Service opens on every node, in the range that Kubernetes allows by default."""
Storage = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$", examples=["2Gi"])]
"""The size of a volume."""
StorageClass = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253, examples=["azurefile-csi"])]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi)$", examples=["512Mi"])]
"""The memory of one container. Request and limit are equal, so no pod uses memory that is reserved for another pod."""


def _integer_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_CPU: Final = r"^[1-9][0-9]*m?$"
Cpu = Annotated[
    str,
    Field(pattern=_CPU),
    BeforeValidator(_integer_as_text),
    WithJsonSchema({"type": ["string", "integer"], "pattern": _CPU, "minimum": 1, "examples": ["500m"]}),
]
"""CPU cores (`2`) or thousandths of a core (`500m`)."""

_RANGE: Final = re.compile(r"^([0-9]{1,5})-([0-9]{1,5})$")


@dataclass(frozen=True, order=True)
class PortRange:
    """The ports from `first` to `last`, both included. The format in stack files is `30000-30031`."""

    first: int
    last: int

    @classmethod
    def validate(cls, value: object) -> PortRange:
        """Parses `first-last`. Returns a value that is already a `PortRange` unchanged.

        Raises:
            PydanticCustomError: the value is not two ports separated by a dash, or the first port is higher than the last.
        """
        if isinstance(value, PortRange):
            return value
        match = _RANGE.match(value) if isinstance(value, str) else None
        ports = cls(int(match[1]), int(match[2])) if match else None
        if ports is None or not 1 <= ports.first <= ports.last <= _HIGHEST_PORT:
            raise PydanticCustomError("port_range", "Input should be two ports separated by a dash, the lower port first")
        return ports

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Converts between the text in the stack file and this type."""
        return core_schema.no_info_plain_validator_function(cls.validate, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": _RANGE.pattern, "examples": ["30000-30031"]}
