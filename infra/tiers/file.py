"""The format of `tiers.toml`, and the rules that hold between its tables."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Annotated, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import UserError
from infra.settings.problems import nearest
from infra.settings.types import RegistryAddress
from infra.tiers.model import FILE_NAME, Requirements, StackTier, Target, Tier, Tiers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
StackName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]

_EXAMPLES: Final = {
    "tiers": '[tiers.stage] source = "dev", evidence = true',
    "stacks": 'stage = { tier = "stage", source = "dev" }',
    "targets": '[[targets]] tier = "stage", cluster = "0d0c6d6e-8f0b-4d8e-9a54-3f1d2c7b6a59", images = "registry.example.com"',
}
_CLUSTER: Final = r"^(embedded|kind:[a-z0-9][a-z0-9-]{0,39}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"


class _Table(BaseModel):
    """A table of the file. Instances are frozen, unknown keys are errors, and no value is converted to another type."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)


class TierTable(_Table):
    """The table `[tiers.<name>]`. See `infra.tiers.model.Tier` and `Requirements`."""

    source: Name | None = None
    evidence: bool = False
    approval: bool = False
    proven: bool = False


class StackLine(_Table):
    """A line of the table `[stacks]`."""

    tier: Name
    source: StackName | None = None
    """The stack from which releases are promoted, one of the tier's source tier. Absent if the tier has no source."""


class TargetTable(_Table):
    """A table `[[targets]]`. See `infra.tiers.model.Target`."""

    tier: Name
    cluster: Annotated[str, Field(pattern=_CLUSTER)]
    context: Annotated[str, Field(min_length=1)] | None = None
    namespace_prefix: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,19}-)?$")] = ""
    images: RegistryAddress


class TiersFile(_Table):
    """The whole file."""

    tiers: Mapping[Name, TierTable]
    stacks: Mapping[StackName, StackLine] = {}
    targets: list[TargetTable] = []


def parse(raw: Mapping[str, object]) -> Tiers:
    """Validates the parsed content of `tiers.toml`.

    Raises:
        UserError: the file has problems. The error lists all problems of the format, or all broken rules between the tables.
    """
    try:
        file = TiersFile.model_validate(raw)
    except ValidationError as error:
        raise _joined([_format_error(details) for details in error.errors(include_url=False)]) from None
    # Each of these rules relies on the ones before it.
    rules = (_tiers_have_sources, _no_circle, _stacks_have_tiers, _stacks_have_sources, _targets_have_tiers, _targets_differ)
    for rule in rules:
        if problems := list(rule(file)):
            raise _joined(problems)
    tiers = {name: _tier(name, table, file.targets) for name, table in file.tiers.items()}
    return Tiers(tiers=tiers, stacks={stack: _stack(stack, file, tiers) for stack in file.stacks})


def _tier(name: str, table: TierTable, targets: Sequence[TargetTable]) -> Tier:
    requirements = Requirements(evidence=table.evidence, approval=table.approval, proven=table.proven)
    own = tuple(_target(each) for each in targets if each.tier == name)
    return Tier(name=name, source=table.source, requirements=requirements, targets=own)


def _target(table: TargetTable) -> Target:
    return Target(
        tier=table.tier,
        cluster=table.cluster,
        namespace_prefix=table.namespace_prefix,
        images=table.images,
        context=table.context or "",
    )


def _stack(name: str, file: TiersFile, tiers: Mapping[str, Tier]) -> StackTier:
    line = file.stacks[name]
    source = _stack(line.source, file, tiers) if line.source is not None else None
    foreign = tuple(target for tier in tiers.values() if tier.name != line.tier for target in tier.targets)
    return StackTier(stack=name, tier=tiers[line.tier], source=source, foreign=foreign)


def _tiers_have_sources(file: TiersFile) -> Iterator[UserError]:
    for name, table in file.tiers.items():
        if table.source is not None and table.source not in file.tiers:
            fix = nearest(table.source, file.tiers, f"name one of the tiers: {', '.join(file.tiers)}")
            yield _problem(f"tiers.{name}", "source is not a tier", table.source, "tiers", fix)
        if table.source is None and table.proven:
            what = "proven is set, but the tier has no source in which an image could be proven"
            yield _problem(f"tiers.{name}", what, "true", "tiers", "name the tier's source, or remove `proven`")


def _no_circle(file: TiersFile) -> Iterator[UserError]:
    try:
        TopologicalSorter({name: [table.source] if table.source else [] for name, table in file.tiers.items()}).prepare()
    except CycleError as error:
        circle = cast("list[str]", error.args[1])
        what = "source leads back to the tier itself, so no release could ever be created"
        fix = "remove the source of the tier in which releases are created"
        yield _problem(f"tiers.{circle[0]}", what, " -> ".join(reversed(circle)), "tiers", fix)


def _stacks_have_tiers(file: TiersFile) -> Iterator[UserError]:
    for stack, line in file.stacks.items():
        if line.tier not in file.tiers:
            fix = nearest(line.tier, file.tiers, f"name one of the tiers: {', '.join(file.tiers)}")
            yield _problem(f"stacks.{stack}", "tier is not a tier of this file", line.tier, "stacks", fix)


def _stacks_have_sources(file: TiersFile) -> Iterator[UserError]:
    for stack, line in file.stacks.items():
        wanted, source = file.tiers[line.tier].source, line.source
        key = f"stacks.{stack}"
        possible = [name for name, other in file.stacks.items() if other.tier == wanted]
        if wanted is None:
            if source is not None:
                what = f"source is set, but releases are created in tier {line.tier}"
                yield _problem(key, what, source, "stacks", "remove `source`")
        elif source is None:
            what = f"source is missing: tier {line.tier} gets its releases from a stack of tier {wanted}"
            yield _problem(key, what, None, "stacks", _choose(possible, wanted))
        elif source not in file.stacks:
            yield _problem(
                key, "source is not a listed stack", source, "stacks", nearest(source, possible, _choose(possible, wanted))
            )
        elif file.stacks[source].tier != wanted:
            what = f"source is a stack of tier {file.stacks[source].tier}, but the source of tier {line.tier} is {wanted}"
            yield _problem(key, what, source, "stacks", _choose(possible, wanted))


def _targets_have_tiers(file: TiersFile) -> Iterator[UserError]:
    for number, table in enumerate(file.targets):
        if table.tier not in file.tiers:
            fix = nearest(table.tier, file.tiers, f"name one of the tiers: {', '.join(file.tiers)}")
            yield _problem(f"targets.{number}", "tier is not a tier of this file", table.tier, "targets", fix)


def _targets_differ(file: TiersFile) -> Iterator[UserError]:
    """Two tiers must not name one cluster with one prefix; a tier may name it twice, with other images."""
    targets = [_target(table) for table in file.targets]
    for number, target in enumerate(targets):
        for other in targets[:number]:
            if other.place == target.place and other.tier != target.tier:
                what = f"tiers {other.tier} and {target.tier} name one target: each would overwrite the other's environment"
                fix = "remove one of them, or give it another namespace_prefix"
                yield _problem(f"targets.{number}", what, target, "", fix)
            elif (other.place, other.images) == (target.place, target.images):
                yield _problem(f"targets.{number}", "The target is listed twice", target, "", "remove one of them")


def _choose(possible: list[str], tier: str) -> str:
    return f"name one of these stacks: {', '.join(possible)}" if possible else f"add a stack of tier {tier} to [stacks] first"


def _format_error(details: ErrorDetails) -> UserError:
    *table, key = map(str, details["loc"])
    section = table[0] if table else key
    where = ".".join(part for part in table if part != "[key]")
    found = None if details["type"] == "missing" else details["input"]
    match details["type"]:
        case "missing":
            what, fix = f"{key} is missing", "add it"
        case "extra_forbidden":
            known = _known_keys(section if table else "")
            what, fix = f"{key} is not a known key", nearest(key, known, f"remove it; known keys: {', '.join(known)}")
        case _:
            subject = "the name" if key == "[key]" else key
            predicate = details["msg"].removeprefix("Input ").removeprefix("String ")
            what, fix = f"{subject} {predicate}", "write it like the example"
    return _problem(where, what, found, section, fix)


def _known_keys(section: str) -> list[str]:
    tables: Mapping[str, type[_Table]] = {"": TiersFile, "tiers": TierTable, "stacks": StackLine, "targets": TargetTable}
    return list(tables[section].model_fields)


def _problem(table: str, what: str, found: object, section: str, fix: str) -> UserError:
    """Returns the error about a key of a table. `what` begins with the key; `section` chooses the example."""
    section_name, _, number = table.partition(".")
    shown = f"[[targets]] number {int(number) + 1}" if section_name == "targets" and number else f"[{table}]"
    where = f"{FILE_NAME}, {shown}" if table else FILE_NAME
    return UserError(f"{what}.", where=where, found=found, example=_EXAMPLES.get(section, ""), fix=fix)


def _joined(problems: list[UserError]) -> UserError:
    if len(problems) == 1:
        return problems[0]
    return UserError("\n\n".join([f"{FILE_NAME} has {len(problems)} problems.", *map(str, problems)]))
