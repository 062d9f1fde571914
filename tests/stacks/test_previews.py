"""Every stack file as `pulumi preview` sees it before anything exists: what only a provider can tell is unknown."""

from __future__ import annotations

import pulumi
import pulumi_random
import pytest

from tests.harness import UNKNOWN, Secret, revealed, run, run_stack
from tests.releases import outputs, released, stacks
from tests.stacks.test_policies import STACKS, declared_by

CASES = [(stack, released) for stack in STACKS for released in (False, True)]


@pytest.mark.parametrize(("stack", "released"), CASES)
def test_a_preview_declares_what_an_update_declares(stack, released):
    planned, made = (declared_by(stack, released, preview=preview) for preview in (True, False))
    assert [each.urn for each in planned.resources] == [each.urn for each in made.resources], (
        "a resource that is declared where an output is known is missing in the diff that people review"
    )
    for before, after in zip(planned.resources, made.resources, strict=True):
        assert (before.parent, before.provider, before.protect) == (after.parent, after.provider, after.protect), before.name
        assert before.dependencies == after.dependencies, before.name


@pytest.mark.parametrize(("stack", "released"), CASES)
def test_what_a_preview_knows_is_what_an_update_does(stack, released):
    planned, made = (declared_by(stack, released, preview=preview) for preview in (True, False))
    for before, after in zip(planned.resources, made.resources, strict=True):
        assert list(conflicts(before.inputs, after.inputs)) == [], before.name
    assert list(conflicts(planned.outputs, made.outputs)) == []


@pytest.mark.parametrize(("stack", "released"), CASES)
def test_nothing_unknown_is_written_into_a_text(stack, released):
    planned = declared_by(stack, released, preview=True)
    texts = [text for resource in planned.resources for text in texts_of(resource.inputs)] + list(texts_of(planned.outputs))
    assert [text for text in texts if UNKNOWN.mark in text or "Output[" in text or "output.Output" in text] == []


OPEN = {
    "image": "the digest of an image of ours that is still to be built",
    "value": "the same digest, told to training",
    "id": "the id of the environment's owner",
    "hostAliases": "the addresses of Services",
    "stringData": "passwords",
    "modelstack.dev/secret": "a digest of passwords",
    "kubeconfig": "of a cluster that is still to be started",
}
"""The ends of the paths that are unknown, and why."""


def test_a_preview_leaves_open_what_only_a_provider_knows_and_nothing_else():
    planned = declared_by("dev", released=True, preview=True)
    found = {path for each in planned.resources for path in unknowns(revealed(each.inputs))}
    assert {next((end for end in OPEN if path.endswith(f".{end}")), path) for path in found} == OPEN.keys(), (
        "a reviewer does not see these"
    )


def test_what_a_provider_tells_is_unknown_in_a_preview():
    seen = []

    def program():
        password = pulumi_random.RandomPassword("password", length=8)
        password.result.apply(seen.append)
        pulumi.export("id", password.id)
        pulumi.export("length", password.length)
        pulumi.export("password", password.result)

    assert run(program, preview=True).outputs == {"id": UNKNOWN, "length": 8, "password": Secret(UNKNOWN)}
    assert seen == []


def test_an_output_that_is_formatted_ends_a_preview():
    def program():
        password = pulumi_random.RandomPassword("password", length=8)
        pulumi.export("url", f"postgres://{password.result}@host")

    with pytest.raises(Exception, match="Calling __str__"):
        run(program, preview=True)


def test_a_preview_refuses_what_an_update_refuses():
    with pytest.raises(pulumi.RunError, match="nobody has approved it"):
        run_stack("prod", stacks(stage=outputs(released(3))), replaced={"releases": {"markdown": released(3)}}, preview=True)


def conflicts(planned, made, path=""):
    """The paths at which a preview says something else than the update does."""
    if UNKNOWN in (planned, revealed(planned)) and isinstance(planned, Secret) == isinstance(made, Secret):
        return
    if isinstance(planned, Secret) and isinstance(made, Secret):
        yield from conflicts(planned.value, made.value, path)
    elif isinstance(planned, dict) and isinstance(made, dict):
        for key in sorted({*planned, *made}):
            yield from conflicts(planned.get(key), made.get(key), f"{path}.{key}")
    elif isinstance(planned, list) and isinstance(made, list) and len(planned) == len(made):
        for index, (before, after) in enumerate(zip(planned, made, strict=True)):
            yield from conflicts(before, after, f"{path}[{index}]")
    elif planned != made:
        yield path


def unknowns(value, path=""):
    """The paths of what is unknown."""
    if value == UNKNOWN:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from unknowns(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknowns(item, f"{path}[{index}]")


def texts_of(value):
    """Every text in a value."""
    match value:
        case Secret(inner):
            yield from texts_of(inner)
        case dict():
            for key, item in value.items():
                yield from (key, *texts_of(item))
        case list():
            for item in value:
                yield from texts_of(item)
        case str():
            yield value
        case _:
            pass
