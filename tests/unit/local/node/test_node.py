"""The parts of the node that need no root: configuration, command lines and files of the services, control groups, relay."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from common.errors import UserError
from local.node import cgroups, namespace, ports, probe, record, relay, seed, supervisor
from local.node.config import DNS_SERVICE, NodeConfig, parse_range
from local.node.kubernetes import files, objects, pki, services
from local.node.machine import Machine

MODERN = Machine(sys_resource=True, snapshotter="overlayfs")
CONFINED = Machine(sys_resource=False, snapshotter="native")


@pytest.fixture
def config(tmp_path):
    return NodeConfig(tmp_path / "node", 7443, 5500, (31000, 31003))


def rendered(config, machine=MODERN):
    return files.render(config, machine, "a2V5")


def test_the_ports_of_a_node_are_the_two_servers_and_the_whole_range(config):
    assert config.ports() == [7443, 5500, 31000, 31001, 31002, 31003]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"api_port": 0}, "api-port"),
        ({"registry_port": 65536}, "registry-port"),
        ({"node_ports": (30010, 30000)}, "ends before it begins"),
        ({"registry_port": 6443}, "the same port"),
        ({"node_ports": (4999, 5001)}, "the same port"),
    ],
)
def test_invalid_or_duplicate_ports_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        NodeConfig(**arguments)


@pytest.mark.parametrize("text", ["30000", "30000-", "a-b", "-5", "30000:30031", ""])
def test_an_invalid_range_is_refused_with_an_example_of_a_valid_one(text):
    with pytest.raises(UserError, match="30000-30031"):
        parse_range(text)


def test_a_range_is_parsed_into_its_first_and_last_port():
    assert parse_range("31000-31031") == (31000, 31031)


def test_each_root_has_its_own_control_group(tmp_path):
    assert NodeConfig(tmp_path / "a").name != NodeConfig(tmp_path / "b").name
    assert NodeConfig(tmp_path / "a").name == NodeConfig(tmp_path / "x" / ".." / "a").name, (
        "two paths of the same folder are the same node"
    )


def test_a_port_in_use_is_refused_and_the_process_that_uses_it_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError) as refused:
            ports.require_free([port])
    text = str(refused.value)
    assert f"127.0.0.1:{port}" in text
    assert "process " in text, "the user needs to know which process to end"
    assert "--api-port" in text, "or how to choose another port"


def test_a_port_is_free_although_its_last_connections_have_just_ended():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    ports.require_free([port])


def test_every_service_has_a_script_and_a_log(config):
    rendered_files = rendered(config)
    for name in services.commands(config):
        assert f"service/{name}/run" in rendered_files
        assert f"service/{name}/log/run" in rendered_files, "the last output of a failing service must not be lost"


def test_services_are_killed_when_their_supervisor_ends(config):
    for name in services.commands(config):
        assert "--pdeathsig" in rendered(config)[f"service/{name}/run"], (
            "otherwise its next supervisor could not start it again"
        )


def test_node_ports_and_api_port_reach_the_api_server(config):
    command = services.commands(config)["kube-apiserver"]
    assert "--service-node-port-range=31000-31003" in command
    assert "--secure-port=7443" in command


def test_the_api_server_refuses_anonymous_requests_except_for_health(config):
    command = services.commands(config)["kube-apiserver"]
    assert "--authorization-mode=Node,RBAC" in command
    assert "--enable-admission-plugins=NodeRestriction" in command
    anonymous = json.loads(rendered(config)["authentication.yaml"])["anonymous"]
    allowed = {condition["path"] for condition in anonymous["conditions"]}
    assert allowed == {"/livez", "/readyz", "/healthz"}, "anonymous clients may read the health and nothing else"


def test_secrets_are_written_encrypted(config):
    rule = json.loads(rendered(config)["encryption.yaml"])["resources"][0]
    assert rule["resources"] == ["secrets"]
    assert "secretbox" in rule["providers"][0], "the API server writes with the first provider"


def test_etcd_accepts_only_clients_of_its_own_authority(config):
    command = services.commands(config)["etcd"]
    assert "--client-cert-auth" in command
    assert any(argument.endswith("/etcd-ca.crt") for argument in command), (
        "a kubelet's certificate must not give access to etcd"
    )
    assert "--unsafe-no-fsync" not in command, "data has to survive a power cut"


def test_a_machine_without_capabilities_gets_a_configuration_that_works_there(config):
    assert "restrict_oom_score_adj = true" in rendered(config, CONFINED)["containerd.toml"]
    assert 'snapshotter = "native"' in rendered(config, CONFINED)["containerd.toml"]
    assert json.loads(rendered(config, CONFINED)["kubelet.yaml"])["oomScoreAdj"] == 0
    assert "restrict_oom_score_adj = false" in rendered(config, MODERN)["containerd.toml"]


def test_the_container_registry_has_the_same_name_in_the_node_and_on_the_machine(config):
    assert "http://localhost:5500" in rendered(config)["containerd.toml"]
    assert json.loads(rendered(config)["registry.yaml"])["http"]["addr"] == "127.0.0.1:5500"


def test_pods_use_the_address_of_the_dns_service(config):
    assert json.loads(rendered(config)["kubelet.yaml"])["clusterDNS"] == [DNS_SERVICE]
    applied = dict(objects.manifests("Y2E="))
    assert applied["/api/v1/namespaces/kube-system/services/kube-dns"]["spec"]["clusterIP"] == DNS_SERVICE


def test_the_default_storage_class_binds_at_once(config):
    storage = dict(objects.manifests("Y2E="))["/apis/storage.k8s.io/v1/storageclasses/local"]
    assert storage["volumeBindingMode"] == "Immediate", (
        "an update that waits for a claim would hang if the claim waited for a pod"
    )
    assert storage["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"


def test_each_client_has_its_own_identity():
    clients = [item for item in pki.CERTIFICATES if item.name in pki.CLIENTS]
    assert {item.name for item in clients} == set(pki.CLIENTS)
    assert len({item.user for item in clients}) == len(clients)
    assert not any(item.group == "system:masters" for item in clients), "no component needs all permissions"


def test_a_certificate_is_signed_by_the_authority_it_names():
    script = pki.script()
    assert "-in request -CA etcd-ca.crt -CAkey etcd-ca.key" in script
    assert "IP:127.0.0.1" in script, "clients on the machine use this address of the API server"


def test_existing_keys_are_never_replaced():
    script = pki.script()
    for name in ("ca.crt", "etcd-ca.crt", "secrets.key", "service-accounts.pub"):
        assert f"if [ ! -e {name} ]; then" in script, "with new keys, nobody could access a node that has data"


def test_the_limits_for_a_full_disk_are_in_bytes_not_in_per_cent(config):
    hard = json.loads(rendered(config)["kubelet.yaml"])["evictionHard"]
    assert not any(limit.endswith("%") for limit in hard.values()), "one per cent of a large disk is more than all pods use"


def test_pods_start_soon_after_disk_space_has_been_freed(config):
    kubelet = json.loads(rendered(config)["kubelet.yaml"])
    assert kubelet["evictionPressureTransitionPeriod"] == "10s", "the default is five minutes"


def test_rendering_twice_gives_the_same_files(config):
    assert rendered(config) == rendered(config), "otherwise every start would restart the node"


V1 = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = """29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
40 29 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
"""


def test_version_1_hierarchies_are_found_with_their_mount_options():
    options = {str(item.path): item.options for item in cgroups.hierarchies(V1)}
    assert options == {
        "/sys/fs/cgroup/cpu,cpuacct": "cpu,cpuacct",
        "/sys/fs/cgroup/memory": "memory",
        "/sys/fs/cgroup/systemd": "name=systemd",
    }


def test_version_2_is_used_although_version_1_is_mounted_too():
    assert cgroups.hierarchies(V2) == [cgroups.Hierarchy(Path("/sys/fs/cgroup"), 2)]


def group_in(folder, version):
    (folder / "cgroup.controllers").write_text("cpu memory")
    return cgroups.Cgroup("modelstack-x", [cgroups.Hierarchy(folder, version)])


def test_a_control_group_is_created_and_removed_with_all_its_parts(tmp_path):
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
    assert (tmp_path / "modelstack-x" / "outer" / "cpuset.cpus").read_text() == "0-1", (
        "no process can enter a group without processors"
    )


def test_the_start_command_gets_the_hierarchies_and_the_data_folder(config):
    group = cgroups.Cgroup("modelstack-x", cgroups.hierarchies(V1))
    command, environment = namespace.start_command(config, group, Path("/cache/rootfs"), Path("/cache/hyperkube"))
    assert "--net" in environment["INNER"] + command[-1]
    assert environment["V1_GROUPS"] == "cpu,cpuacct memory name=systemd"
    assert environment["DATA"] == str(config.root.resolve())


def test_the_uplink_forwards_no_incoming_connections_and_none_to_the_machines_loopback():
    command, _ = supervisor.uplink_command(Path("/cache/rootfs"), 42)
    assert command[command.index("--tcp-ports") + 1] == "none", "the relay forwards incoming connections"
    assert command[command.index("--tcp-ns") + 1] == "none", "pods must not reach servers on the machine's loopback interface"


def test_the_relay_gets_all_ports_of_the_node(config):
    command, environment = supervisor.relay_command(config, 42)
    assert command[-len(config.ports()) :] == [str(port) for port in config.ports()]
    assert "PYTHONPATH" in environment, "the module must be found from any working directory"


def test_the_relay_forwards_data_in_both_directions():
    async def scenario():
        async def serve(reader, writer):
            writer.write((await reader.read()).upper())
            await writer.drain()
            writer.close()

        target = await asyncio.start_server(serve, "127.0.0.1", 0)
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

    assert asyncio.run(scenario()) == b"X" * 300_000, "the server responds only after the end of the request has reached it"


def test_the_relay_delivers_every_byte_of_a_large_upload_to_a_slow_server():
    size = 24 << 20

    async def scenario():
        async def serve(reader, writer):
            remaining = size
            while remaining:
                remaining -= len(await reader.read(1 << 18))
                await asyncio.sleep(0.001)
            writer.write(b"all")
            await writer.drain()
            writer.close()

        target = await asyncio.start_server(serve, "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(relay._serve(listener, target.sockets[0].getsockname()[1]))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(bytes(size))
        received = await asyncio.wait_for(reader.read(), 60)  # the client does not end its side: the server knows the length
        writer.close()
        await asyncio.sleep(0.2)  # time for the relay to see that both sides have ended
        serving.cancel()
        target.close()
        return received

    assert asyncio.run(scenario()) == b"all"


def test_the_state_that_a_supervisor_writes_is_read_by_its_successor(tmp_path):
    state = record.State(record.Process(1, "5"), None, record.Process(2, "6"))
    record.write_state(tmp_path, state)
    assert record.read_state(tmp_path) == state


def test_a_damaged_state_or_task_is_ignored(tmp_path):
    (tmp_path / "state.json").write_text('{"init": {"pid": 1')
    assert record.read_state(tmp_path) == record.State()
    assert record.read_task(tmp_path) is None


def test_a_process_with_the_same_id_and_another_start_time_is_another_process():
    init = record.Process.from_pid(1)
    assert init is not None
    assert init.alive
    assert not record.Process(1, "another time").alive


def test_the_same_layer_and_command_give_the_same_image():
    layer = {"digest": "sha256:1", "size": 1, "diff": "sha256:2"}
    assert seed.config_and_manifest(layer, ["bash"]) == seed.config_and_manifest(dict(reversed(layer.items())), ["bash"])
    assert seed.config_and_manifest(layer, ["bash"]) != seed.config_and_manifest(layer, ["sleep", "infinity"])


def test_a_dns_response_counts_if_it_matches_the_query_and_has_a_record():
    query = probe.query("kubernetes.default.svc.cluster.local", 7)
    assert b"\x0akubernetes\x07default" in query
    response = query[:2] + b"\x81\x80\x00\x01\x00\x01" + query[8:]
    assert probe.answers(response, 7)
    assert not probe.answers(response, 8), "a response to another query"
    assert not probe.answers(query[:2] + b"\x81\x83\x00\x01\x00\x00" + query[8:], 7), "the name does not exist"
    assert not probe.answers(b"", 7)
