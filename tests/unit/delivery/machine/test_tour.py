"""`modelstack tour`: the stack files with which one tries stage and prod on one machine."""

from __future__ import annotations

import subprocess

import pytest

from common import paths
from common.errors import UserError
from delivery.machine import tour as command
from delivery.machine import tour_files
from delivery.stacks import stack_file
from infra.settings import loading, tour
from local.node.config import NODE_NAME
from tests.checkout import CHECKOUT, STACK_FILES
from tests.releases import released
from tests.unit.delivery.machine.machines import EMBEDDED, EXISTING, SALT
from workloads.catalogue import WORKLOADS

DEV = (STACK_FILES / "Pulumi.dev.yaml").read_text()
OTHER_PORTS = (
    DEV.replace("5000", "5001")
    .replace("6443", "6444")
    .replace("30000-30031", "31100-31131")
    .replace("nodePort: 30000", "nodePort: 31100")
    .replace("nodePort: 30001", "nodePort: 31101")
)


@pytest.fixture
def dev(machine):
    """A machine with the shipped stack files, on which nothing is up."""
    for file in STACK_FILES.iterdir():
        (machine.folder / file.name).write_text(file.read_text())
    return machine


def run(*, dry_run=False, force=False):
    command.main(dry_run=dry_run, force=force)


def files(machine):
    return {file.name: (file.read_text(), file.stat().st_mtime_ns) for file in machine.folder.glob("Pulumi.*.yaml")}


def settings(stack):
    return loading.load(stack_file.path_of(stack))


def ports(stack):
    found = settings(stack)
    return [found.tracking.node_port, *(each.node_port for each in found.workloads.values())]


def test_it_writes_two_files_and_changes_no_other(dev):
    before = files(dev)
    run()
    after = files(dev)
    assert after.keys() - before.keys() == {"Pulumi.tour-stage.yaml", "Pulumi.tour-prod.yaml"}
    assert {name: after[name] for name in before} == before, "the shipped stack files stay as they are"


def test_the_environments_are_in_devs_cluster_under_a_prefix_of_their_own(dev):
    run()
    for stack, prefix in ((tour.STAGE, "stage-"), (tour.PROD, "prod-")):
        found = settings(stack)
        assert (found.cluster.kind, found.cluster.namespace_prefix, found.cluster.host) == ("existing", prefix, "localhost")
        assert (found.cluster.kubeconfig, found.cluster.context) == (".modelstack/kubeconfig", NODE_NAME)
        assert found.images == settings("dev").images
        assert (found.database.protect, found.tracking.protect) == (False, False), "`modelstack down` destroys them"
    assert (ports(tour.STAGE)[:2], ports(tour.PROD)[:2]) == ([30010, 30011], [30020, 30021])


def test_ports_registry_and_base_image_are_those_of_dev(dev):
    dev.write(OTHER_PORTS)
    run()
    for stack, first in ((tour.STAGE, 31110), (tour.PROD, 31120)):
        assert ports(stack)[:2] == [first, first + 1]
        assert settings(stack).images.registry == "localhost:5001"
        assert settings(stack).images.base == "localhost:5001/base:bookworm"


def with_dev(text="", **node_ports):
    """The settings of a dev with these node ports by workload."""
    workloads = "".join(f"    {name}: {{nodePort: {port}}}\n" for name, port in node_ports.items())
    text = text or DEV
    return loading.parse_text(f"{text.partition('  modelstack:workloads:')[0]}  modelstack:workloads:\n{workloads}", "dev")


@pytest.mark.parametrize(
    ("first", "last"), [(30000, 30031), (30000, 30009), (30000, 30010), (30000, 30012), (30000, 30021), (31000, 32767)]
)
@pytest.mark.parametrize("workloads", [("markdown",), ("markdown", "tuna"), ("tuna",), ("tuna", "markdown")])
def test_node_ports_are_reachable_and_used_once(first, last, workloads):
    text = DEV.replace("30000-30031", f"{first}-{last}").replace("nodePort: 30000", f"nodePort: {first}")
    dev = with_dev(text, **{name: first + index for index, name in enumerate(workloads, 1)})
    used = [first, *(each.node_port for each in dev.workloads.values())]
    for found in tour_files.node_ports(dev).values():
        assert set(workloads) < set(found), "dev's workloads can be promoted"
        used += found.values()
    assert len(used) == len(set(used))
    assert set(used) <= set(range(first, last + 1))


def test_every_workload_can_be_promoted_and_dev_has_a_node_port_left_for_it():
    dev = with_dev(markdown=30001)
    found = tour_files.node_ports(dev)
    assert set(found[tour.STAGE]) - {""} == set(WORKLOADS)
    narrow = with_dev(DEV.replace("30000-30031", "30000-30008"), markdown=30001)
    taken = [port for each in tour_files.node_ports(narrow).values() for port in each.values()]
    assert 30002 not in taken, "`modelstack release tuna` gives tuna the first port that dev does not use"


def test_a_workload_that_dev_releases_later_does_not_move_the_ports():
    before = tour_files.texts(with_dev(markdown=30001))
    assert tour_files.texts(with_dev(markdown=30001, tuna=30002)) == before
    assert tour_files.texts(with_dev(tuna=30002, markdown=30001)) == before, "the order in dev's file does not matter"


def test_too_few_node_ports_are_refused_with_a_range_that_is_wide_enough(dev):
    dev.write(DEV.replace("30000-30031", "30000-30004"))
    with pytest.raises(UserError, match=r"(?s)needs 4 more node ports.*Pulumi\.dev\.yaml.*right: 30000-30005"):
        run()
    dev.write(DEV.replace("30000-30031", "30000-30005"))
    run()
    assert len({*ports(tour.STAGE), *ports(tour.PROD)}) == 4


def test_a_dev_without_an_embedded_cluster_is_refused(dev):
    dev.write(EXISTING % "/elsewhere/kubeconfig")
    before = files(dev)
    with pytest.raises(UserError, match=r"(?s)needs the embedded cluster of dev.*Pulumi\.dev\.yaml.*clusters of your own"):
        run()
    assert files(dev) == before


def test_it_says_what_it_wrote_and_what_to_do_next(dev, capsys):
    run()
    said = capsys.readouterr().out
    assert "Pulumi.tour-stage.yaml  written\nPulumi.tour-prod.yaml   written\n" in said
    assert "  make up  " in said, "dev is not up yet"
    assert "  modelstack up --stack tour-stage  " in said
    paths.KUBECONFIG.parent.mkdir(exist_ok=True)
    paths.KUBECONFIG.write_text("x")
    run()
    assert "  make up  " not in capsys.readouterr().out


def test_a_second_run_changes_nothing(dev, capsys):
    run()
    before = files(dev)
    capsys.readouterr()
    run()
    assert files(dev) == before
    assert "Pulumi.tour-stage.yaml  unchanged\n" in capsys.readouterr().out


def test_a_dry_run_shows_the_files_and_writes_none(dev, capsys):
    before = files(dev)
    run(dry_run=True)
    assert files(dev) == before
    assert "+    namespacePrefix: prod-" in capsys.readouterr().out
    run()
    capsys.readouterr()
    run(dry_run=True)
    assert capsys.readouterr().out == "Nothing would change.\n"


def use(stack, machine):
    """Changes a stack file as `up` and `promote` do."""
    text = stack_file.with_salt(machine.read(stack), SALT)
    machine.write(stack_file.with_releases(text, "markdown", released(3)), stack)


def test_a_file_with_releases_is_as_the_command_wrote_it(dev, capsys):
    run()
    use(tour.PROD, dev)
    before = files(dev)
    run()
    assert files(dev) == before
    assert "Pulumi.tour-prod.yaml   unchanged\n" in capsys.readouterr().out


def test_an_edited_file_is_not_overwritten_but_a_missing_one_is_written(dev, capsys):
    run()
    dev.write(dev.read(tour.STAGE).replace("30011", "30015"), tour.STAGE)
    stack_file.path_of(tour.PROD).unlink()
    before = files(dev)
    with pytest.raises(UserError, match=r"(?s)It is not overwritten.*Pulumi\.tour-stage\.yaml.*modelstack tour --force"):
        run()
    after = files(dev)
    assert {name: after[name] for name in before} == before
    assert "Pulumi.tour-stage.yaml  kept\nPulumi.tour-prod.yaml   written\n" in capsys.readouterr().out
    with pytest.raises(UserError, match="It is not overwritten"):
        run(dry_run=True)
    assert capsys.readouterr().out == "Nothing would change.\n"


def test_force_writes_the_settings_of_an_edited_file_and_keeps_its_releases(dev, capsys):
    run()
    generated = dev.read(tour.STAGE)
    use(tour.STAGE, dev)
    dev.write(dev.read(tour.STAGE).replace("30011", "30015"), tour.STAGE)
    before = files(dev)
    run(dry_run=True, force=True)
    assert files(dev) == before
    assert "-    markdown: {nodePort: 30015}\n+    markdown: {nodePort: 30011}" in capsys.readouterr().out
    run(force=True)
    text = dev.read(tour.STAGE)
    assert stack_file.releases(text)["markdown"] == released(3)
    assert stack_file.salt(text) == SALT, "the state's secrets are encrypted with it"
    assert tour_files.without_releases(text) == generated


def test_force_follows_a_dev_whose_ports_have_changed(dev):
    run()
    use(tour.STAGE, dev)
    dev.write(OTHER_PORTS)
    with pytest.raises(UserError, match="It is not overwritten"):
        run()
    run(force=True)
    assert ports(tour.STAGE)[:2] == [31110, 31111]


@pytest.mark.parametrize("text", ["config: [", "just text\n", "config:\n  modelstack:releases: {gone: {stable: 1}}\n"])
@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_cannot_be_read_is_named_and_stays(dev, text, force):
    run()
    dev.write(text, tour.STAGE)
    before = files(dev)
    with pytest.raises(UserError, match=r"Pulumi\.tour-stage\.yaml"):
        run(force=force)
    assert files(dev) == before


def test_an_invalid_stack_file_of_dev_is_named(dev):
    dev.write(DEV.replace("nodePort: 30001", "nodePort: 80"))
    with pytest.raises(UserError, match=r"Pulumi\.dev\.yaml"):
        run()


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_the_files_survive_releases_and_their_removal_unchanged(dev, workload):
    run()
    for stack in tour.STACKS:
        before = dev.read(stack)
        text = stack_file.with_releases(stack_file.with_salt(before, SALT), workload, released(4, 3))
        assert tour_files.without_releases(text) == before


def test_the_dev_file_that_ships_is_as_before_after_the_tour():
    text = stack_file.with_releases(stack_file.with_salt(DEV, SALT), "markdown", released(2, 1))
    assert stack_file.without_salt(stack_file.without_releases(text)) == DEV, "`git status` is clean after `make down`"


def test_git_ignores_the_files_and_not_those_that_ship():
    names = [f"Pulumi.{stack}.yaml" for stack in (*tour.STACKS, "dev", "stage", "prod")]
    done = subprocess.run(["git", "check-ignore", *names], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [f"Pulumi.{stack}.yaml" for stack in tour.STACKS]


def test_a_missing_file_of_the_tour_is_an_error_that_names_the_command(machine):
    for read in (loading.load, stack_file.read):
        with pytest.raises(UserError, match="run `modelstack tour`"):
            read(stack_file.path_of(tour.STAGE))
        with pytest.raises(UserError) as other:
            read(stack_file.path_of("stage"))
        assert "modelstack tour" not in str(other.value)


def test_a_dev_that_was_edited_by_hand_in_another_style_works_too(machine):
    machine.write(EMBEDDED)
    run()
    assert ports(tour.STAGE)[:2] == [30010, 30011]
