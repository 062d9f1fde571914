"""Where a stack may deploy: its target is compared with the registered ones before anything is declared or written."""

from __future__ import annotations

from itertools import product

import pulumi
import pytest

from common.answers import Absent, Found, Unknown
from infra.live_cluster import LiveCluster
from infra.settings import loading as settings_loading
from infra.tiers import loading, targets
from tests.harness import run_stack
from tests.tiers import tier_of

DEV, STAGE, PROD, NEW, OWN = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 6))
TIERS = f"""
[tiers.dev]
[tiers.stage]
source = "dev"
[tiers.prod]
source = "stage"
[stacks]
dev = {{ tier = "dev" }}
stage = {{ tier = "stage", source = "dev" }}
prod = {{ tier = "prod", source = "stage" }}
[[targets]]
tier = "dev"
cluster = "embedded"
images = "localhost"
[[targets]]
tier = "stage"
cluster = "embedded"
namespace_prefix = "stage-"
images = "localhost:5000"
[[targets]]
tier = "stage"
cluster = "{STAGE}"
context = "staging"
images = "registry.example/stage"
[[targets]]
tier = "prod"
cluster = "{PROD}"
context = "production"
images = "registry.example/prod"
"""
SILENT = Unknown(where="https://k.example", reason="connection refused", fix="start the cluster")


def settings(context="staging", images="registry.example/stage", prefix="", **cluster):
    described = {"kind": "existing", "context": context, "host": "h.example", "namespacePrefix": prefix} | cluster
    raw = {"cluster": described, "images": {"registry": images, "base": "debian:bookworm"}}
    return settings_loading.parse(raw, "Pulumi.test.yaml")


EMBEDDED = {"cluster": {"kind": "embedded"}, "images": {"registry": "localhost:5000", "base": "localhost:5000/base:bookworm"}}
KIND = {"cluster": {"kind": "kind", "name": "mine"}, "images": {"registry": "localhost:5001", "base": "debian:bookworm"}}


def refused(stack, chosen, uid, embedded=None, text=TIERS):
    """What is refused, in the words that a user reads; empty if nothing is."""
    live = LiveCluster(
        uid=Found(uid) if isinstance(uid, str) else uid,
        owner=Absent(),
        embedded_uid=embedded if embedded is not None else Absent(),
    )
    tier = loading.parse_text(text).of(stack)
    error = targets.refusal(tier, targets.find(tier, chosen, live))
    return "" if error is None else str(error)


def test_the_registered_target_of_the_tier_is_accepted():
    assert refused("stage", settings(), STAGE) == ""


def test_the_name_of_a_context_says_nothing_about_the_cluster():
    assert refused("stage", settings(context="whatever-anna-calls-it"), STAGE) == "", "contexts are named by each user"


def test_a_dev_stack_file_that_names_the_cluster_of_prod_is_refused_with_both_tiers():
    said = refused("dev", settings(context="harmless"), PROD)
    assert "target of stack dev belongs to tier prod, but the stack is of tier dev" in said
    assert "Pulumi.dev.yaml" in said
    assert "infra/tiers/tiers.toml" in said
    assert "context production" in said, "people recognise the cluster by it"


def test_a_target_that_nobody_registered_is_refused_with_the_command_that_registers_it():
    said = refused("dev", settings(context="new", images="r.example"), NEW)
    assert "is not registered for tier dev" in said
    assert NEW in said
    assert "modelstack target register --stack dev" in said


def test_another_prefix_in_the_same_cluster_is_another_target():
    assert "is not registered" in refused("stage", settings(prefix="second-"), STAGE)


def test_a_new_cluster_under_the_old_context_is_a_target_that_moved():
    said = refused("stage", settings(), NEW)
    assert "The target of stack stage moved" in said
    assert f"found: cluster {NEW}" in said
    assert f"cluster {STAGE} (context staging)" in said
    assert "modelstack target register --stack stage --replace" in said


def test_the_context_of_another_tier_is_not_registered_for_this_one_because_its_cluster_is_new():
    said = refused("dev", settings(context="production", images="r.example"), NEW)
    assert "its context production is that of a moved target of tier prod" in said
    assert "target register --stack dev" not in said, "prod's new cluster would become one of dev"


def test_one_context_may_hold_targets_of_two_tiers_while_its_cluster_is_the_same():
    said = refused("dev", settings(context="production", images="r.example", prefix="dev-"), PROD)
    assert "is not registered for tier dev" in said


@pytest.mark.parametrize("unknown", [SILENT, Absent()])
def test_a_cluster_that_cannot_be_asked_is_refused_with_the_reason(unknown):
    said = refused("stage", settings(), unknown)
    assert "could not be asked which cluster it is" in said
    assert ("connection refused" in said and "start the cluster" in said) or "kube-system" in said


@pytest.mark.parametrize(
    ("images", "accepted"),
    [
        ("registry.example/stage", True),
        ("registry.example/stage/team", True),
        ("registry.example/stages", False),
        ("registry.example/prod", False),
        ("registry.example", False),
        ("registry.example:5000/stage", False),
    ],
)
def test_images_lie_at_the_registered_prefix_or_below_it(images, accepted):
    said = refused("stage", settings(images=images), STAGE)
    assert (said == "") is accepted, said
    if not accepted:
        assert "modelstack:images.registry" in said
        assert f"found: {images}\n  right: registry.example/stage\n" in said


def test_the_embedded_cluster_need_not_exist_and_may_have_other_ports():
    absent = Absent()
    assert refused("dev", settings_loading.parse(EMBEDDED, "f"), absent) == ""
    elsewhere = {
        "cluster": {"kind": "embedded", "registryPort": 5001},
        "images": {"registry": "localhost:5001", "base": "localhost:5001/base:bookworm"},
    }
    assert refused("dev", settings_loading.parse(elsewhere, "f"), absent) == "", "`localhost` is every port of this machine"


def test_a_cluster_that_the_stack_created_and_that_does_not_answer_may_be_the_target_of_another_tier():
    listed = TIERS + '[[targets]]\ntier = "dev"\ncluster = "kind:mine"\nimages = "localhost"\n'
    for created in (EMBEDDED, KIND):
        chosen = settings_loading.parse(created, "f")
        assert "could not be asked which cluster it is" in refused("dev", chosen, SILENT, text=listed)
        assert "belongs to tier prod" in refused("dev", chosen, PROD, text=listed)
        assert refused("dev", chosen, OWN, text=listed) == ""


def test_an_existing_cluster_that_this_checkout_started_is_the_embedded_one():
    chosen = settings(context="modelstack", images="localhost:5000", prefix="stage-")
    assert refused("stage", chosen, OWN, Found(OWN)) == ""
    assert "belongs to tier stage" in refused("dev", chosen, OWN, Found(OWN))
    assert "is not registered" in refused("stage", chosen, OWN, Absent()), "somebody else's embedded cluster is any cluster"


def test_the_embedded_cluster_is_asked_only_where_it_matters():
    assert refused("stage", settings(), STAGE, SILENT) == "", "the UID is registered, whether our node runs or not"
    assert "could not be asked" in refused("stage", settings(context="modelstack", prefix="stage-"), OWN, SILENT)


def test_a_target_that_another_tier_has_by_its_uid_is_not_reached_by_the_word_embedded():
    text = TIERS + f'[[targets]]\ntier = "prod"\ncluster = "{OWN}"\nnamespace_prefix = "stage-"\nimages = "localhost"\n'
    chosen = settings(context="modelstack", images="localhost:5000", prefix="stage-")
    assert "belongs to tier prod" in refused("stage", chosen, OWN, Found(OWN), text)


def test_a_kind_cluster_is_named_because_the_stack_creates_it():
    chosen = settings_loading.parse(KIND, "f")
    assert "is not registered for tier dev" in refused("dev", chosen, Absent())
    listed = TIERS + '[[targets]]\ntier = "dev"\ncluster = "kind:mine"\nimages = "localhost"\n'
    assert refused("dev", chosen, Absent(), text=listed) == ""
    assert "belongs to tier dev" in refused("prod", chosen, Absent(), text=listed)


def test_whatever_a_stack_file_names_it_reaches_no_target_of_another_tier():
    """Every stack, cluster, context, prefix and container registry: accepted is exactly what is registered for the tier."""
    file = loading.parse_text(TIERS)
    registries = ("registry.example/stage", "registry.example/prod", "localhost:5000")
    for stack, uid, context, prefix, images in product(
        file.stacks, (STAGE, PROD, NEW, OWN), ("staging", "production", "new"), ("", "stage-"), registries
    ):
        cluster = "embedded" if uid == OWN else uid
        allowed = any(
            (each.cluster, each.namespace_prefix) == (cluster, prefix) and each.holds(images)
            for each in file.of(stack).tier.targets
        )
        said = refused(stack, settings(context, images, prefix), uid, Found(OWN))
        assert (said == "") is allowed, (stack, uid, context, prefix, images, said)
        assert "None" not in said


@pytest.mark.parametrize(
    ("added", "parts"),
    [
        (
            f'tier = "dev"\ncluster = "{PROD}"\nimages = "r"',
            ["tiers prod and dev name one target", PROD, "[[targets]] number 5"],
        ),
        ('tier = "prod"\ncluster = "embedded"\nimages = "r"', ["tiers dev and prod name one target", "namespace_prefix"]),
        ('tier = "dev"\ncluster = "embedded"\nimages = "localhost"', ["The target is listed twice"]),
        ('tier = "pord"\ncluster = "embedded"\nimages = "r"', ["tier is not a tier", "found: pord", "did you mean `prod`?"]),
        (
            'tier = "dev"\ncluster = "my-context"\nimages = "r"',
            ["[[targets]] number 5", "cluster should match", "found: my-context"],
        ),
        ('tier = "dev"\ncluster = "embedded"', ["images is missing", "[[targets]] number 5", "right: [[targets]]"]),
        ('tier = "dev"\ncluster = "embedded"\nimages = "https://r"', ["images should match", "found: https://r"]),
        ('tier = "dev"\ncluster = "embedded"\nimages = "r"\nprefix = "x-"', ["prefix is not a known key", "known keys: tier"]),
    ],
)
def test_a_bad_target_is_refused_with_its_number_key_value_and_example(added, parts):
    with pytest.raises(Exception, match=r"infra/tiers/tiers\.toml") as error:
        loading.parse_text(f"{TIERS}[[targets]]\n{added}\n")
    assert [part for part in parts if part not in str(error.value)] == [], str(error.value)


def test_the_program_refuses_a_target_of_another_tier_and_tells_no_traceback():
    live = LiveCluster(uid=Found(PROD), owner=Absent())
    replaced = {"cluster": {"kind": "existing", "context": "c", "host": "h.example"}, "releases": {}}
    with pytest.raises(pulumi.RunError, match="The target of stack dev belongs to tier prod") as error:
        run_stack("dev", replaced=replaced, live=live)
    assert error.value.__suppress_context__, "the reader sees the message, not what raised it"


@pytest.mark.parametrize("stack", ["stage", "prod"])
def test_the_program_changes_nothing_if_the_cluster_cannot_be_asked(stack):
    with pytest.raises(pulumi.RunError, match=r"(?s)could not be asked which cluster it is.*connection refused"):
        run_stack(stack, replaced={"releases": {}}, live=LiveCluster(uid=SILENT, owner=SILENT))


def test_a_stack_of_the_tour_has_a_target_on_this_machine():
    for stack, prefix in (("tour-stage", "stage-"), ("tour-prod", "prod-")):
        chosen = settings(context="modelstack", images="localhost:5001", prefix=prefix)
        live = LiveCluster(uid=Found(OWN), owner=Absent(), embedded_uid=Found(OWN))
        tier = tier_of(stack)
        assert targets.refusal(tier, targets.find(tier, chosen, live)) is None
