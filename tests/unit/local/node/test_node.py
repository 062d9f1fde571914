"""The node, as far as it is pure: its configuration, the command lines and files of its services, its control groups."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from common.errors import UserError
from local.node import NodeConfig, cgroups, namespace, ports, probe, record, relay, seed, supervisor
from local.node.config import DNS_SERVICE, parse_range
from local.node.kubernetes import files, objects, pki, services
from local.node.machine import Machine

MODERN = Machine(sys_resource=True, snapshotter="overlayfs")
CONFINED = Machine(sys_resource=False, snapshotter="native")


@pytest.fixture
def config(tmp_path):
    return NodeConfig(tmp_path / "node", 7443, 5500, (31000, 31003))


def rendered(config, machine=MODERN):
    return files.render(config, machine, "a2V5")


def test_all_ports_are_counted(config):
    assert config.ports() == [7443, 5500, 31000, 31001, 31002, 31003]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"api_port": 0}, "api-port"),
        ({"registry_port": 65536}, "registry-port"),
        ({"node_ports": (30010, 30000)}, "ends before it begins"),
        ({"registry_port": 6443}, "the same port"),
        ({"node_ports": (4999, 5001)}, "the same port"),
    ],
)
def test_ports_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(UserError, match=said):
        NodeConfig(**arguments)


@pytest.mark.parametrize("text", ["30000", "30000-", "a-b", "-5", "30000:30031", ""])
def test_a_range_that_is_none_is_refused_with_a_good_example(text):
    with pytest.raises(UserError, match="30000-30031"):
        parse_range(text)


def test_a_range_is_its_first_and_last_port():
    assert parse_range("31000-31031") == (31000, 31031)


def test_two_roots_never_share_a_control_group(tmp_path):
    assert NodeConfig(tmp_path / "a").name != NodeConfig(tmp_path / "b").name
    assert NodeConfig(tmp_path / "a").name == NodeConfig(tmp_path / "x" / ".." / "a").name, "the same folder is the same node"


def test_a_taken_port_is_refused_with_the_process_that_has_it():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as refused:
            ports.require_free([port])
    text = str(refused.value)
    assert f"127.0.0.1:{port}" in text
    assert "process " in text, "the user needs to know whom to end"
    assert "--api-port" in text, "or how to go around"


def test_a_port_whose_connections_have_just_ended_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    ports.require_free([port])


def test_every_service_has_a_script_and_a_log(config):
    found = rendered(config)
    for name in services.commands(config):
        assert f"service/{name}/run" in found
        assert f"service/{name}/log/run" in found, "what a service says before it dies must not be lost"


def test_services_die_with_their_supervisor(config):
    for name in services.commands(config):
        assert "--pdeathsig" in rendered(config)[f"service/{name}/run"], "or its next supervisor could not start it again"


def test_node_ports_and_api_port_reach_the_api_server(config):
    command = services.commands(config)["kube-apiserver"]
    assert "--service-node-port-range=31000-31003" in command
    assert "--secure-port=7443" in command


def test_the_api_server_keeps_nobody_knows_out(config):
    command = services.commands(config)["kube-apiserver"]
    assert "--authorization-mode=Node,RBAC" in command
    assert "--enable-admission-plugins=NodeRestriction" in command
    anonymous = json.loads(rendered(config)["authentication.yaml"])["anonymous"]
    allowed = {condition["path"] for condition in anonymous["conditions"]}
    assert allowed == {"/livez", "/readyz", "/healthz"}, "without a name one may ask for health and nothing else"


def test_secrets_are_encrypted_before_anything_else_is_tried(config):
    rule = json.loads(rendered(config)["encryption.yaml"])["resources"][0]
    assert rule["resources"] == ["secrets"]
    assert "secretbox" in rule["providers"][0], "the first provider is the one that writes"


def test_etcd_answers_its_own_authority_only(config):
    command = services.commands(config)["etcd"]
    assert "--client-cert-auth" in command
    assert any(word.endswith("/etcd-ca.crt") for word in command), "a kubelet's certificate must not open the store"
    assert "--unsafe-no-fsync" not in command, "data has to survive a power cut"


def test_a_confined_machine_gets_what_it_can_do(config):
    assert "restrict_oom_score_adj = true" in rendered(config, CONFINED)["containerd.toml"]
    assert 'snapshotter = "native"' in rendered(config, CONFINED)["containerd.toml"]
    assert json.loads(rendered(config, CONFINED)["kubelet.yaml"])["oomScoreAdj"] == 0
    assert "restrict_oom_score_adj = false" in rendered(config, MODERN)["containerd.toml"]


def test_the_node_finds_its_registry_by_the_name_that_the_machine_uses(config):
    assert "http://localhost:5500" in rendered(config)["containerd.toml"]
    assert json.loads(rendered(config)["registry.yaml"])["http"]["addr"] == "127.0.0.1:5500"


def test_pods_are_told_the_address_that_dns_has(config):
    assert json.loads(rendered(config)["kubelet.yaml"])["clusterDNS"] == [DNS_SERVICE]
    applied = dict(objects.manifests("Y2E="))
    assert applied["/api/v1/namespaces/kube-system/services/kube-dns"]["spec"]["clusterIP"] == DNS_SERVICE


def test_the_default_storage_class_binds_at_once(config):
    storage = dict(objects.manifests("Y2E="))["/apis/storage.k8s.io/v1/storageclasses/local"]
    assert storage["volumeBindingMode"] == "Immediate", "a claim that waits for a pod makes whoever waits for the claim hang"
    assert storage["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"


def test_each_client_has_an_identity_of_its_own():
    clients = [item for item in pki.CERTIFICATES if item.name in pki.CLIENTS]
    assert {item.name for item in clients} == set(pki.CLIENTS)
    assert len({item.user for item in clients}) == len(clients)
    assert not any(item.group == "system:masters" for item in clients), "no component needs all rights"


def test_the_script_of_keys_signs_with_the_authority_that_is_meant():
    script = pki.script()
    assert "-in request -CA etcd-ca.crt -CAkey etcd-ca.key" in script
    assert "IP:127.0.0.1" in script, "the machine reaches the API server by that address"


def test_keys_that_are_there_are_never_made_again():
    script = pki.script()
    for name in ("ca.crt", "etcd-ca.crt", "secrets.key", "service-accounts.pub"):
        assert f"if [ ! -e {name} ]; then" in script, "new keys would lock everybody out of a node with data"


def test_a_full_disk_is_measured_in_bytes(config):
    hard = json.loads(rendered(config)["kubelet.yaml"])["evictionHard"]
    assert not any(limit.endswith("%") for limit in hard.values()), "one per cent of a large disk is more than all pods need"


def test_pods_start_soon_after_room_was_made_on_a_full_disk(config):
    told = json.loads(rendered(config)["kubelet.yaml"])
    assert told["evictionPressureTransitionPeriod"] == "10s", "five minutes, unless told"


def test_rendering_again_gives_the_same(config):
    assert rendered(config) == rendered(config), "or every start would take the node for another one"


V1 = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = """29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
40 29 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
"""


def test_version_1_hierarchies_are_found_with_what_mounts_them_again():
    found = {str(item.path): item.options for item in cgroups.hierarchies(V1)}
    assert found == {
        "/sys/fs/cgroup/cpu,cpuacct": "cpu,cpuacct",
        "/sys/fs/cgroup/memory": "memory",
        "/sys/fs/cgroup/systemd": "name=systemd",
    }


def test_version_2_is_taken_whatever_else_is_mounted():
    assert cgroups.hierarchies(V2) == [cgroups.Hierarchy(Path("/sys/fs/cgroup"), 2)]


def group_in(folder, version):
    (folder / "cgroup.controllers").write_text("cpu memory")
    return cgroups.Cgroup("modelstack-x", [cgroups.Hierarchy(folder, version)])


def test_groups_are_made_and_removed_whole(tmp_path):
    group = group_in(tmp_path, 1)
    group.create("node/init")
    group.create("outer")
    assert [folder.is_dir() for folder in (*group.folders("node/init"), *group.folders("outer"))] == [True, True]
    group.remove()
    assert not group.exists(), "stop leaves nothing"
    group.remove()


def test_new_cpuset_groups_inherit_processors(tmp_path):
    for file, value in (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")):
        (tmp_path / file).write_text(value)
        (tmp_path / "modelstack-x").mkdir(exist_ok=True)
        (tmp_path / "modelstack-x" / file).write_text("\n")
    (tmp_path / "modelstack-x" / "outer").mkdir()
    for file in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "modelstack-x" / "outer" / file).write_text("\n")
    group_in(tmp_path, 1).create("outer")
    assert (tmp_path / "modelstack-x" / "outer" / "cpuset.cpus").read_text() == "0-1", "an empty set takes no process"


def test_what_starts_a_node_knows_all_its_places(config):
    group = cgroups.Cgroup("modelstack-x", cgroups.hierarchies(V1))
    command, environment = namespace.start_command(config, group, Path("/cache/rootfs"), Path("/cache/hyperkube"))
    assert "--net" in environment["INNER"] + command[-1]
    assert environment["V1_GROUPS"] == "cpu,cpuacct memory name=systemd"
    assert environment["DATA"] == str(config.root.resolve())


def test_the_uplink_is_a_way_out_only():
    command, _ = supervisor.uplink_command(Path("/cache/rootfs"), 42)
    assert command[command.index("--tcp-ports") + 1] == "none", "the way in is the relay's"
    assert command[command.index("--tcp-ns") + 1] == "none", "pods must not reach what listens on the machine's loopback"


def test_the_relay_is_told_all_ports(config):
    command, environment = supervisor.relay_command(config, 42)
    assert command[-len(config.ports()) :] == [str(port) for port in config.ports()]
    assert "PYTHONPATH" in environment, "it is started from anywhere"


def test_the_relay_hands_on_what_it_gets_in_both_directions():
    async def scenario():
        async def answer(reader, writer):
            writer.write((await reader.read()).upper())
            await writer.drain()
            writer.close()

        target = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = target.sockets[0].getsockname()[1]
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(relay._serve(listener, port))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(b"x" * 300_000)
        writer.write_eof()
        received = await reader.read()
        writer.close()
        serving.cancel()
        target.close()
        return received

    assert asyncio.run(scenario()) == b"X" * 300_000, "the end of a request must arrive as such, or nobody answers"


def test_the_relay_keeps_nothing_of_a_large_upload_to_a_slow_reader_to_itself():
    size = 24 << 20

    async def scenario():
        async def answer(reader, writer):
            left = size
            while left:
                left -= len(await reader.read(1 << 18))
                await asyncio.sleep(0.001)
            writer.write(b"all")
            await writer.drain()
            writer.close()

        target = await asyncio.start_server(answer, "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(relay._serve(listener, target.sockets[0].getsockname()[1]))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(bytes(size))
        received = await asyncio.wait_for(reader.read(), 60)  # the end of the upload is not told: its length was
        writer.close()
        await asyncio.sleep(0.2)  # the relay sees the end of both sides
        serving.cancel()
        target.close()
        return received

    assert asyncio.run(scenario()) == b"all"


def test_the_state_of_a_dead_supervisor_is_read_by_its_heir(tmp_path):
    state = record.State(record.Process(1, "5"), None, record.Process(2, "6"))
    record.write_state(tmp_path, state)
    assert record.read_state(tmp_path) == state


def test_half_a_state_counts_as_none(tmp_path):
    (tmp_path / "state.json").write_text('{"init": {"pid": 1')
    assert record.read_state(tmp_path) == record.State()
    assert record.read_task(tmp_path) is None


def test_a_process_id_used_again_is_another_process():
    mine = record.Process.of(1)
    assert mine is not None
    assert mine.alive
    assert not record.Process(1, "not then").alive


def test_the_same_tar_gives_the_same_image():
    layer = {"digest": "sha256:1", "size": 1, "diff": "sha256:2"}
    assert seed.documents(layer, ["bash"]) == seed.documents(dict(reversed(layer.items())), ["bash"])
    assert seed.documents(layer, ["bash"]) != seed.documents(layer, ["sleep", "infinity"])


def test_a_name_server_is_asked_and_understood():
    asked = probe.question("kubernetes.default.svc.cluster.local", 7)
    assert b"\x0akubernetes\x07default" in asked
    answer = asked[:2] + b"\x81\x80\x00\x01\x00\x01" + asked[8:]
    assert probe.answers(answer, 7)
    assert not probe.answers(answer, 8), "another question's answer"
    assert not probe.answers(asked[:2] + b"\x81\x83\x00\x01\x00\x00" + asked[8:], 7), "no such name"
    assert not probe.answers(b"", 7)
