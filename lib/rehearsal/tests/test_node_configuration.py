"""What the node's programs are told, where a mistake would be seen only much later."""

from __future__ import annotations

import ipaddress
import json
import tomllib
from pathlib import Path

import pytest

from rehearsal.network.playing import image_name
from rehearsal.node import configuration, credentials, dns
from rehearsal.node.configuration import Settings
from rehearsal.node.images.recipes import RECIPES

SERVICES = ipaddress.ip_network("10.96.0.0/16")
PLAYED_PODS = ipaddress.ip_network("10.128.0.0/9")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        folder=tmp_path / "node",
        name="machine",
        cgroup="/rehearsal-1-x",
        plugins=Path("/usr/lib/cni"),
        snapshotter="native",
        client_authority=tmp_path / "kubelet-client.crt",
    )


def test_containerd_keeps_all_it_has_in_the_nodes_folder(settings: Settings) -> None:
    said = tomllib.loads(configuration.containerd(settings))
    cri = said["plugins"]["io.containerd.grpc.v1.cri"]
    for path in (said["root"], said["state"], said["grpc"]["address"], cri["cni"]["conf_dir"]):
        assert Path(path).is_relative_to(settings.folder)
    assert cri["containerd"]["snapshotter"] == "native"
    # kubelet and runc must agree on who makes cgroups.
    assert cri["containerd"]["runtimes"]["runc"]["options"] == {"SystemdCgroup": False}
    assert configuration.kubelet(settings)["cgroupDriver"] == "cgroupfs"
    assert image_name(cri["sandbox_image"]) in RECIPES


def test_the_kubelet_stays_in_its_cgroup_and_lets_nobody_in_without_asking(settings: Settings) -> None:
    said = configuration.kubelet(settings)
    assert said["cgroupRoot"] == "/rehearsal-1-x"
    assert said["failCgroupV1"] is False
    assert said["authentication"]["anonymous"] == {"enabled": False}
    assert said["authorization"] == {"mode": "Webhook"}
    assert said["containerRuntimeEndpoint"] == f"unix://{settings.folder}/containerd.sock"
    assert Path(said["podLogsDir"]).is_relative_to(settings.folder)


def test_addresses_of_real_pods_played_pods_and_services_do_not_overlap(settings: Settings) -> None:
    pods = ipaddress.ip_network(configuration.POD_RANGE)
    node = ipaddress.ip_address(configuration.NODE_ADDRESS)
    assert not pods.overlaps(SERVICES) and not pods.overlaps(PLAYED_PODS)
    assert node not in pods and node not in PLAYED_PODS and node not in SERVICES
    assert ipaddress.ip_address(configuration.DNS_ADDRESS) in SERVICES
    (first, *_) = json.loads(configuration.network(settings))["plugins"]
    assert first["ipam"]["ranges"] == [[{"subnet": configuration.POD_RANGE}]]
    assert Path(first["ipam"]["dataDir"]).is_relative_to(settings.folder)


def test_kube_proxy_leaves_the_machines_own_settings_alone(settings: Settings) -> None:
    said = configuration.proxy(settings)
    # Zero has it leave the kernel's settings of connection tracking as they are.
    assert set(said["conntrack"].values()) == {0, "0s"}
    assert said["clusterCIDR"] == configuration.POD_RANGE
    for key in ("healthzBindAddress", "metricsBindAddress"):
        assert said[key].startswith(f"{configuration.NODE_ADDRESS}:")


def test_the_dns_is_where_the_kubelet_sends_pods(settings: Settings) -> None:
    kinds = {each["kind"]: each for each in dns.objects()}
    assert configuration.kubelet(settings)["clusterDNS"] == [kinds["Service"]["spec"]["clusterIP"]]
    (container,) = kinds["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert image_name(container["image"]) in RECIPES
    names = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in kinds["Service"]["spec"]["ports"]} <= names


def test_each_node_has_keys_of_its_own_that_only_root_reads(tmp_path: Path) -> None:
    one, other = (credentials.make(tmp_path / name) for name in ("one", "other"))
    assert one.key.stat().st_mode & 0o777 == 0o600
    assert len({one.kubelet, one.proxy, other.kubelet, other.proxy}) == 4
    assert one.certificate.read_bytes() != other.certificate.read_bytes()
    kubelet, proxy = (line.split(",") for line in one.lines("machine"))
    # The authorizer of nodes and NodeRestriction know a node by these names.
    assert kubelet[1:] == ["system:node:machine", "machine", "system:nodes"]
    assert proxy[1] == "system:kube-proxy"
