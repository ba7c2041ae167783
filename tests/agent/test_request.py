"""What a revision becomes for the engine, and what never reaches it (attacks.md, rows D-1 to D-19)."""

from __future__ import annotations

import inspect
import ipaddress
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docker.types import HostConfig

from agent import secrets
from agent.docker_request import (
    CAPS,
    HOST_FIELDS,
    ImageSeen,
    Names,
    Request,
    build,
    check,
    target_is_allowed,
    user_for,
    volumes_for,
)
from agent.networks import PREFIX, _free, _routes
from agent.nodefile import FLOOR_CAPS, BadNodeFile, NodeFile, load
from agent.orders import ApplyDeployment, Published, Revision, VolumeMount, verb_of
from agent.orders.envelope import Bad, OrderBody, decode_order, encode_order
from agent.orders.spec import ImagePin, Profile, Setting
from agent.problems import Refused
from tests.agent.place import body, deployment

PIN = ImagePin(reference="nginx:1.27", repository="nginx", digest="sha256:" + "a" * 64)
IMAGE = ImageSeen(id="sha256:" + "b" * 64, user="1000:1000")
NAMES = Names(
    installation="i-test0test0test0t",
    short="test0t",
    deployment="d-0123456789abcdef",
    name="web",
    part="main",
)
NODE = NodeFile()
WHOLE = Revision(
    number=1,
    image=PIN,
    settings=(Setting(name="GREETING", value="hello"),),
    ports=(Published(container_port=8080, node_port=20001),),
    volumes=(VolumeMount(volume="data", target="/data"),),
)


def made(revision: Revision = WHOLE, node: NodeFile = NODE, at: Path | None = None) -> Request:
    check(revision, node)
    return build(
        names=NAMES,
        revision=revision,
        image=IMAGE,
        node=node,
        order="o-1",
        container_name="c",
        env=secrets.environment(revision, {}),
        secrets=at,
    )


def changed(**changes: Any) -> Revision:
    return msgspec.structs.replace(WHOLE, **changes)


def code(revision: Revision, node: NodeFile = NODE) -> str:
    with pytest.raises(Refused) as refused:
        check(revision, node)
    return refused.value.code


def decoded(**changes: Any) -> OrderBody:
    """The order as it arrives, its revision's JSON changed by hand."""
    raw = json.loads(encode_order(body("n-0123456789abcdef", deployment("web", WHOLE))))
    raw["order"]["revision"].update(changes)
    return decode_order(json.dumps(raw, separators=(",", ":")).encode())


def test_whole_revision_arrives_as_it_was_sent() -> None:
    order = decoded().order
    assert isinstance(order, ApplyDeployment)
    assert (order.revision, verb_of(order)) == (WHOLE, "deployment.apply")


def sdk_arguments() -> list[str]:
    return [name for name in inspect.signature(HostConfig.__init__).parameters if name != "self"]


@pytest.mark.parametrize(
    "name",
    [
        *sdk_arguments(),
        *(
            "Binds",
            "Mounts",
            "Privileged",
            "PidMode",
            "NetworkMode",
            "HostConfig",
            "MaskedPaths",
            "ReadonlyPaths",
        ),
        *(
            "Annotations",
            "CapAdd",
            "Devices",
            "entrypoint",
            "command",
            "hostname",
            "domainname",
            "mac_address",
        ),
        *(
            "healthcheck",
            "labels",
            "working_dir",
            "stop_signal",
            "platform",
            "network",
            "exposed_ports",
            "shell",
        ),
    ],
)
def test_docker_argument_in_a_revision_is_an_unknown_field(name: str) -> None:
    with pytest.raises(Bad) as bad:
        decoded(**{name: "x"})
    assert bad.value.code == "form"


@pytest.mark.parametrize("profile", ["strict", "standard", "legacy"])
def test_request_contains_only_the_listed_arguments_of_the_sdk(profile: Profile) -> None:
    request = made(changed(profile=profile))
    assert set(request.host) == HOST_FIELDS
    assert set(sdk_arguments()) > HOST_FIELDS
    assert set(request.create) == {"image", "name", "environment", "ports", "labels", "user"}
    host = HostConfig(version="1.41", **request.host)
    assert len(json.dumps(host)) < 256 * 1024
    assert host["CapDrop"] == ["ALL"]
    assert tuple(sorted(host.get("CapAdd") or [])) == tuple(sorted(CAPS[profile]))
    assert not FLOOR_CAPS.intersection(CAPS[profile])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] == 256 * 1024 * 1024
    assert (host["PidsLimit"], host["NanoCpus"], host["OomScoreAdj"]) == (256, 500_000_000, 100)
    assert host["LogConfig"] == {"Type": "local", "Config": {"max-size": "10m", "max-file": "3"}}
    assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20001"}]}
    assert host["NetworkMode"] == "hercules-test0t-web"
    assert host["ReadonlyRootfs"] is (profile == "strict")
    for never in ("Privileged", "Binds", "Devices", "PidMode", "UTSMode", "UsernsMode", "VolumesFrom", "Dns"):
        assert not host.get(never), never
    assert {m["Type"] for m in host["Mounts"]} == {"volume"}
    assert request.create["image"] == IMAGE.id


def test_secrets_are_mounted_so_that_a_missing_source_fails() -> None:
    mounts = made(at=Path("/run/hercules-agent/i/secrets/d/main-1")).host["mounts"]
    secret = next(m for m in mounts if m["Target"] == "/run/secrets")
    assert (secret["Type"], secret["ReadOnly"]) == ("bind", True)


@pytest.mark.parametrize(
    "target", ["/data", "/var/lib/app", "/srv/a b", "/usr/share/app", "/etc/app", "/runs"]
)
def test_volume_may_stand_in_a_place_of_the_app(target: str) -> None:
    assert target_is_allowed(target)


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/",
            "/proc",
            "/proc/sys",
            "/sys",
            "/dev/shm",
            "/var/run",
            "/run/secrets",
            "/etc",
            "//data",
            "data",
        ),
        *(
            "/data/",
            "/data/..",
            "/../data",
            "/./data",
            "/data//x",
            "/a,b",
            "/a:b",
            "/a\nb",
            "/a\0b",
            "",
            "/usr/bin",
        ),
    ],
)
def test_volume_target_of_the_system_is_refused(target: str) -> None:
    assert not target_is_allowed(target)
    assert code(changed(volumes=(VolumeMount(volume="data", target=target),))) == "refused.form"


@pytest.mark.parametrize("volume", ["/", "/etc", "../x", "a:b", "A", "a b", "x" * 41, "", "data\n", "-a"])
def test_volume_is_a_name_and_never_a_path(volume: str) -> None:
    with pytest.raises(Bad):
        decoded(volumes=[{"volume": volume, "target": "/data"}])
    with pytest.raises(Bad):
        decoded(volumes=[{"volume": "data", "target": "/data", "type": "bind"}])


def test_two_volumes_in_one_place_are_refused() -> None:
    two = (VolumeMount(volume="a", target="/data"), VolumeMount(volume="b", target="/data"))
    assert code(changed(volumes=two)) == "refused.form"


@pytest.mark.parametrize("port", [True, "80", 0, 65536, -1, 80.5, None])
def test_port_is_a_number_of_a_port(port: object) -> None:
    with pytest.raises(Bad):
        decoded(ports=[{"container_port": 80, "node_port": port}])
    with pytest.raises(Bad):
        decoded(ports=[{"container_port": port, "node_port": 20001}])


def test_address_in_a_port_is_an_unknown_field_and_lan_needs_the_node_file() -> None:
    with pytest.raises(Bad):
        decoded(ports=[{"container_port": 80, "node_port": 20001, "address": "0.0.0.0"}])
    lan = changed(ports=(Published(container_port=80, node_port=20001, exposure="lan"),))
    assert code(lan) == "refused.node_file"
    host = made(lan, NodeFile(lan_addresses=("192.168.1.5",))).host
    assert host["port_bindings"] == {"80/tcp": [("127.0.0.1", 20001), ("192.168.1.5", 20001)]}


def test_low_port_needs_the_node_file() -> None:
    low = changed(ports=(Published(container_port=80, node_port=80),))
    assert code(low) == "refused.node_file"
    check(low, NodeFile(lowest_port=80))
    twice = changed(ports=(Published(container_port=80, node_port=2000),) * 2)
    assert code(twice) == "refused.form"


@pytest.mark.parametrize("memory", [0, -1, 7, 1024 * 1024 * 1024, True, "256", 256.5])
def test_memory_is_bounded(memory: object) -> None:
    with pytest.raises(Bad):
        decoded(memory_mib=memory)


def test_memory_and_profile_are_bounded_by_the_node_file() -> None:
    assert code(WHOLE, NodeFile(memory_max_mib=128)) == "refused.node_file"
    assert code(changed(profile="legacy"), NodeFile(profiles=("strict",))) == "refused.node_file"
    with pytest.raises(Bad):
        decoded(profile="privileged")


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "DOCKER_HOST"])
def test_setting_that_changes_the_loader_is_refused(name: str) -> None:
    assert code(changed(settings=(Setting(name=name, value="x"),))) == "refused.form"


@pytest.mark.parametrize("name", ["A=B", "", "1A", "A B", "A\n", "A\0", "../x", "ä", "x" * 129])
def test_setting_has_a_proper_name(name: str) -> None:
    with pytest.raises(Bad):
        decoded(settings=[{"name": name, "value": "x"}])


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "a\r"])
def test_value_of_several_lines_is_refused(value: str) -> None:
    assert code(changed(settings=(Setting(name="A", value=value),))) == "refused.form"


def test_setting_is_plain_or_secret_and_named_once() -> None:
    assert code(changed(settings=(Setting(name="A"),))) == "refused.form"
    assert (
        code(changed(settings=(Setting(name="A", value="1"), Setting(name="A", value="2")))) == "refused.form"
    )


@pytest.mark.parametrize(
    "user", ["0:0", "root", "1000", "1000:", ":1000", "1000:1000\n", "-1:5", "1000:1000:1"]
)
def test_user_of_an_order_is_numeric_and_not_root(user: str) -> None:
    with pytest.raises(Bad):
        decoded(user=user)


@pytest.mark.parametrize("user", ["", "root", "0", "0:0", "1000", "www-data", "1000:app"])
def test_strict_needs_a_numeric_user_with_group(user: str) -> None:
    strict = changed(profile="strict")
    with pytest.raises(Refused):
        user_for(strict, ImageSeen(id="x", user=user))
    assert user_for(msgspec.structs.replace(strict, user="5:5"), ImageSeen(id="x", user=user)) == "5:5"
    assert user_for(changed(profile="standard"), ImageSeen(id="x", user=user)) is None


def test_place_that_the_image_declares_gets_a_volume_that_survives() -> None:
    image = ImageSeen(id="x", volumes=("/data", "/var/lib/db", "/proc"))
    assert [(v.volume, v.target) for v in volumes_for(WHOLE, image)] == [
        ("data", "/data"),
        ("image-var-lib-db", "/var/lib/db"),
    ]


def test_network_is_a_free_part_of_the_range_and_the_same_for_the_same_deployment() -> None:
    pool = ipaddress.IPv4Network("10.213.0.0/16")
    first = _free(pool, [], "d-1")[0]
    assert first.prefixlen == PREFIX and first.subnet_of(pool)
    assert _free(pool, [], "d-1")[0] == first
    assert not any(s.overlaps(first) for s in _free(pool, [first], "d-1"))
    assert _free(pool, [ipaddress.IPv4Network("10.0.0.0/8")], "d-1") == []


def test_routes_of_the_host_are_read(tmp_path: Path) -> None:
    file = tmp_path / "route"
    file.write_text(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0\n"
        "eth0 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
    )
    assert [str(n) for n in _routes(file)] == ["192.168.1.0/24"]


@pytest.mark.parametrize(
    "text",
    [
        'profiles = ["root"]',
        'lan_addresses = ["0.0.0.0"]',
        'lan_addresses = ["::"]',
        'capabilities = ["SYS_ADMIN"]',
        'networks = "8.8.0.0/16"',
        'engine = "tcp://0.0.0.0:2375"',
        "memory_max_mib = true",
        "unknown = 1",
        "this is no TOML",
    ],
)
def test_node_file_that_cannot_be_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(BadNodeFile, match=r"node\.toml"):
        load(tmp_path, {})


def test_docker_host_wins_over_the_node_file(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('engine = "unix:///a.sock"')
    assert load(tmp_path, {}).engine == "unix:///a.sock"
    assert load(tmp_path, {"DOCKER_HOST": "unix:///b.sock"}).engine == "unix:///b.sock"
