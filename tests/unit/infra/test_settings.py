from __future__ import annotations

import copy
import re
import subprocess
import sys
from datetime import date

import pytest
from pydantic import ValidationError

from common.errors import UserError
from infra.sections.types import PortRange
from infra.settings import loading
from tests.checkout import CHECKOUT, STACK_FILES
from tests.releases import DIGEST, release, released

SHIPPED = sorted(CHECKOUT.glob("Pulumi.*.yaml"))
"""Edited by whoever uses the product: all that holds of them is that they are good ones."""
GOOD = {
    "cluster": {"kind": "embedded"},
    "images": {"registry": "localhost:5000", "base": "localhost:5000/base:bookworm"},
    "workloads": {"markdown": {"nodePort": 30001}},
    "releases": {"markdown": released(3)},
}


def changed(key: str, value: object) -> dict[str, object]:
    """The good settings with one key set, or removed where the value is `...`."""
    raw = copy.deepcopy(GOOD)
    *parents, last = key.split(".")
    section = raw
    for parent in parents:
        section = section.setdefault(parent, {})
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return raw


def refusal(raw: dict[str, object]) -> str:
    with pytest.raises(UserError) as refused:
        loading.parse(raw, "Pulumi.test.yaml")
    return str(refused.value)


@pytest.mark.parametrize("stack_file", SHIPPED, ids=lambda path: path.name)
def test_every_stack_file_of_the_checkout_is_good(stack_file):
    assert loading.load(stack_file).workloads, "an environment without workloads would be no use to anyone"


def test_the_three_environments_are_there():
    assert {"Pulumi.dev.yaml", "Pulumi.prod.yaml", "Pulumi.stage.yaml"} <= {path.name for path in SHIPPED}


def test_absent_concerns_have_defaults():
    parsed = loading.parse({"cluster": {"kind": "embedded"}, "images": GOOD["images"]}, "Pulumi.test.yaml")
    assert parsed.tracking.node_port == 30000, "a stack file says only what is particular to its environment"
    assert parsed.releases == {}, "an environment before its first release is a good one"


def test_settings_cannot_be_changed_after_they_were_checked():
    parsed = loading.parse(GOOD, "Pulumi.test.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        parsed.tracking.node_port = 1  # pyright: ignore[reportAttributeAccessIssue] that is the point


def evidence(**changes):
    return release(3)["evidence"] | changes


WRONG = {
    "unknown concern": ("databse", {}, "modelstack:databse is not a known key", "did you mean `database`?"),
    "unknown key": ("cluster.registryport", 5000, "modelstack:cluster.registryport", "did you mean `registryPort`?"),
    "unknown key like no other": (
        "cluster.zzz",
        1,
        "modelstack:cluster.zzz",
        "known keys: kind, apiPort, registryPort, nodePorts",
    ),
    "missing concern": ("images", ..., "modelstack:images is missing", "images: {registry: localhost:5000}"),
    "missing key": ("workloads.markdown.nodePort", ..., "modelstack:workloads.markdown.nodePort is missing", "nodePort: 30001"),
    "unknown kind of cluster": ("cluster.kind", "aws", "modelstack:cluster.kind", "embedded, existing, kind"),
    "no kind of cluster": ("cluster", {}, "modelstack:cluster.kind", "embedded, existing, kind"),
    "text for a port": ("cluster.apiPort", "6443", "modelstack:cluster.apiPort should be a valid integer", "6443"),
    "a flag for a port": ("cluster.apiPort", True, "modelstack:cluster.apiPort", "found: true"),
    "port too high": ("cluster.apiPort", 65536, "modelstack:cluster.apiPort should be less than", "found: 65536"),
    "range the wrong way round": ("cluster.nodePorts", "30031-30000", "modelstack:cluster.nodePorts", "30000-30031"),
    "range of one end": ("cluster.nodePorts", 30000, "modelstack:cluster.nodePorts", "30000-30031"),
    "registry with a scheme": ("images.registry", "https://registry", "modelstack:images.registry", "localhost:5000"),
    "base without a tag": ("images.base", "localhost:5000/base", "modelstack:images.base", "localhost:5000/base:bookworm"),
    "size without a unit": ("database.storage", 2, "is a number but should be text", '"2Gi"'),
    "size in another unit": ("database.storage", "2GB", "modelstack:database.storage", "2Gi"),
    "half a core": ("tracking.cpu", 0.5, "modelstack:tracking.cpu", "500m"),
    "no core": ("tracking.cpu", 0, "modelstack:tracking.cpu", "500m"),
    "node port below those there are": ("tracking.nodePort", 8080, "modelstack:tracking.nodePort", "30001"),
    "workload's name in capitals": (
        "workloads.Markdown",
        {"nodePort": 30002},
        "modelstack:workloads.Markdown",
        "right: markdown",
    ),
    "moving version": ("releases.markdown.stable", "latest", "modelstack:releases.markdown.stable", "right: 3"),
    "version zero": ("releases.markdown.stable", 0, "modelstack:releases.markdown.stable", "found: 0"),
    "canary without a share": ("releases.markdown.canary", {"version": 3}, "canary.percent is missing", "percent: 10"),
    "canary of too much": (
        "releases.markdown.canary",
        {"version": 3, "percent": 101},
        "modelstack:releases.markdown.canary.percent should be less than or equal to 100",
        "found: 101",
    ),
    "two shadows": ("releases.markdown.shadow", [3, 4], "modelstack:releases.markdown.shadow should be", "found: [3, 4]"),
    "shadow alone": ("releases.markdown", {"shadow": 3, "versions": [release(3)]}, "markdown.stable is missing", "stable: 3"),
    "no version kept": ("releases.markdown.versions", [], "markdown.stable is a version without a release", "right: a list"),
    "stable version that is not kept": (
        "releases.markdown.stable",
        4,
        "releases.markdown.stable is a version without a release",
        "3",
    ),
    "canary that is stable as well": (
        "releases.markdown.canary",
        {"version": 3, "percent": 10},
        "is the same version as stable",
        "remove canary",
    ),
    "one version twice": (
        "releases.markdown.versions",
        [release(3), release(3)],
        "does not list each version once",
        "right: 3",
    ),
    "versions out of order": (
        "releases.markdown.versions",
        [release(4), release(3)],
        "does not list each version once",
        "right: 3, 4",
    ),
    **{
        name: ("releases.markdown.versions", [release(3, **wrong)], f"modelstack:releases.markdown.versions.{what}", hint)
        for name, (wrong, what, hint) in {
            "run that YAML reads as a number": ({"run": 12345678}, "0.run is a number but should be text", "put it in quotes"),
            "tag for a digest": ({"image": "v3"}, "0.image", "sha256:"),
            "branch for a revision": ({"revision": "main"}, "0.revision", "1a2b3c4d5e6f"),
            "name for a trainer": ({"trainer": "alice"}, "0.trainer", "alice@example.com"),
            "metric that is no number": (
                {"evidence": evidence(metrics={"wape": float("nan")})},
                "0.evidence.metrics.wape",
                "right: 0.41",
            ),
            "evidence of another version": (
                {"evidence": evidence(version=2)},
                "3.evidence.version is not the release's version",
                "right: 3",
            ),
            "evidence on other data": (
                {"evidence": evidence(data="sha256:" + "1" * 64)},
                "3.evidence.data is not the release's data",
                f"right: {DIGEST}",
            ),
            "day that the calendar lacks": (
                {"evidence": evidence(until="2026-02-30")},
                "0.evidence.until should be a valid date",
                "right: 2026-11-24",
            ),
            "day in another form": ({"evidence": evidence(until="24.11.2026")}, "0.evidence.until does not have", "2026-11-24"),
            "day with a time": (
                {"evidence": evidence(until="2026-11-24T00:00:00Z")},
                "0.evidence.until does not have the right format",
                "right: 2026-11-24",
            ),
            "day that YAML reads as a date": (
                {"evidence": evidence(until=date(2026, 11, 23))},
                "0.evidence.until is a date but should be text",
                'found: 2026-11-23\n  right: "2026-11-24"\n  do:    put it in quotes',
            ),
            "approval without a signature": (
                {"approval": {"by": "a@example.com", "at": "2026-11-24T10:30:00Z"}},
                "0.approval.signature is missing",
                "add it",
            ),
            "approval at no moment": (
                {"approval": {"by": "a@example.com", "at": "yesterday", "signature": "x" * 86 + "=="}},
                "0.approval.at",
                "2026-11-24T10:30:00Z",
            ),
        }.items()
    },
    "release without evidence": (
        "releases.markdown.versions",
        [{name: value for name, value in release(3).items() if name != "evidence"}],
        "modelstack:releases.markdown.versions.0.evidence is missing",
        "evidence: {version: 3",
    ),
    "list for an object": ("workloads", [], "modelstack:workloads should be a valid", "found: []"),
    "API port among the node ports": ("cluster.apiPort", 30003, "modelstack:cluster.apiPort lies within", "30000-30031"),
    "two services on one port": ("workloads.markdown.nodePort", 30000, "is the same port as tracking.nodePort", "30000"),
    "API and registry on one port": ("cluster.registryPort", 6443, "is the same port as cluster.apiPort", "6443"),
    "unreachable node port": ("workloads.markdown.nodePort", 31000, "cannot be reached", "choose one of 30000-30031"),
    "other registry than the cluster's": (
        "images.registry",
        "localhost:5001",
        "is not the address of the embedded cluster's",
        "localhost:5000",
    ),
    "base from elsewhere": ("images.base", "debian:bookworm-slim", "modelstack:images.base", "localhost:5000/base:bookworm"),
    "bounds the wrong way round": (
        "workloads.markdown.replicas",
        {"min": 3, "max": 2},
        "a minimum above its maximum",
        "min 3, max 2",
    ),
    "workload that is nowhere declared": (
        "workloads.markdwn",
        {"nodePort": 30002},
        "is not a workload of",
        "did you mean `markdown`?",
    ),
    "release of a workload not run here": (
        "releases.allocation",
        released(3),
        "modelstack:releases.allocation",
        "remove the release",
    ),
}


@pytest.mark.parametrize(("key", "value", "what", "hint"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_refused_with_its_key_and_a_way_out(key, value, what, hint):
    message = refusal(changed(key, value))
    assert what in message, f"the message must say what is wrong with which key:\n{message}"
    assert hint in message, f"the message must show a way out:\n{message}"
    assert "where: Pulumi.test.yaml" in message, f"the message must name the file:\n{message}"
    assert "pydantic" not in message, "the reader need not know what checks the file"


def test_the_good_settings_of_these_tests_are_good():
    assert loading.parse(GOOD, "Pulumi.test.yaml").releases["markdown"].stable == 3


def test_all_problems_are_told_at_once():
    raw = changed("cluster.apiPort", "x") | {"databse": {}}
    raw["releases"]["markdown"]["stable"] = "latest"
    message = refusal(raw)
    assert message.startswith("Pulumi.test.yaml has 3 problems."), f"nobody wants to mend a file one run at a time:\n{message}"
    assert re.findall(r"^modelstack:(\S+)", message, re.MULTILINE) == [
        "cluster.apiPort",
        "releases.markdown.stable",
        "databse",
    ]


def test_a_whole_number_of_cores_needs_no_quotes():
    assert loading.parse(changed("tracking.cpu", 2), "Pulumi.test.yaml").tracking.cpu == "2"


def test_an_existing_cluster_allows_all_node_ports_and_any_registry():
    cluster = {"kind": "existing", "context": "c", "host": "c.example"}
    raw = changed("workloads.markdown.nodePort", 32000) | {
        "cluster": cluster,
        "images": {"registry": "registry.example/models"},
    }
    assert loading.parse(raw, "Pulumi.test.yaml").cluster.node_ports == PortRange(30000, 32767)


UNREADABLE = {
    "nothing": ("", "The stack file contains no settings."),
    "no config": ("secretsprovider: x\n", "The stack file contains no settings."),
    "a list": ("- 1\n", "The stack file contains no settings."),
    "no YAML": ("config: {a\n", "The stack file is not valid YAML."),
    "one key twice": ("config:\n  a: 1\n  a: 2\n", "duplicate key"),
    "not text": ("config: \x00", "The stack file is not valid YAML."),
}


@pytest.mark.parametrize(("text", "what"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_stack_file_is_refused(tmp_path, text, what):
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=what):
        loading.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Pulumi\.nope\.yaml"):
        loading.load(tmp_path / "Pulumi.nope.yaml")


def test_keys_of_the_engine_are_left_alone(tmp_path):
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(
        "encryptionsalt: v1:abc\nconfig:\n  pulumi:tags: {a: b}\n  kubernetes:context: x\n"
        "  modelstack:cluster: {kind: embedded}\n"
        "  modelstack:images: {registry: localhost:5000, base: localhost:5000/base:bookworm}\n"
    )
    assert loading.load(path).cluster.kind == "embedded"


def test_checking_a_stack_file_does_not_import_the_engine():
    program = (
        "import sys; from pathlib import Path; from infra.settings import loading\n"
        f"loading.load(Path({str(STACK_FILES / 'Pulumi.dev.yaml')!r}))\n"
        "sys.exit(', '.join(name for name in ('pulumi', 'kubernetes', 'pandas') if name in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"every command checks the file first and must not wait for imports: {done.stderr}"


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("database", "in-cluster"),
        ("artifacts", "volume"),
        ("shares", "storage-class"),
        ("entrance", "node-ports"),
    ],
)
def test_each_part_of_the_foundation_has_a_kind_and_today_s_is_the_default(part, kind):
    parsed = loading.parse(changed(f"{part}.kind", kind), "Pulumi.test.yaml")
    assert parsed == loading.parse(GOOD, "Pulumi.test.yaml"), "a stack file without the kind means the same"
    message = refusal(changed(f"{part}.kind", "cloud"))
    assert f"modelstack:{part}.kind" in message
    assert kind in message, "the error shows a kind that there is"


def test_a_database_with_other_keys_only_is_the_one_in_the_cluster():
    assert loading.parse(changed("database.memory", "1Gi"), "Pulumi.test.yaml").database.kind == "in-cluster"
