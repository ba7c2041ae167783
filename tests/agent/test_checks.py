"""Accept and refuse with one set-up: what is signed and whole is taken, everything else is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from agent import table
from agent.checks import Accepted, Known, NotTaken, examine
from agent.link.messages import ResultSaid
from agent.node import Node, now_ms
from agent.orders import READING, SIMULATED, GetFacts, Order, PullImage, StopTarget, limits
from agent.orders.envelope import ORDER_TYPE, RESULT_TYPE, encode_order, key_id, pae, sign
from agent.orders.spec import ImagePin
from agent.orders.targets import PartTarget
from tests.agent.place import DISPATCH, Desk, body, open_node, prepare, signed
from tests.lab.processes import wait_until

STOP = StopTarget(target=PartTarget(deployment="d-0123456789abcdef"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    prepare(tmp_path / "agent", "unix:///nowhere/docker.sock")
    node = open_node(tmp_path / "agent")
    yield node
    node.journal.close()


def taken(node: Node, envelope: bytes) -> bool:
    return isinstance(examine(envelope, node, now_ms()), Accepted)


def why(node: Node, envelope: bytes, now: int = 0) -> str:
    found = examine(envelope, node, now or now_ms())
    assert isinstance(found, NotTaken), found
    return found.why.code


def payload_signed(payload: bytes, kind: str = ORDER_TYPE, key: SigningKey = DISPATCH) -> bytes:
    return sign(kind, payload, key)


def changed(node: Node, **changes: Any) -> bytes:
    """A validly signed order whose JSON was changed by hand before signing."""
    made = json.loads(encode_order(body(node.keys.node, STOP)))
    made.update(changes)
    return payload_signed(json.dumps(made, separators=(",", ":")).encode())


def test_whole_order_is_taken(node: Node) -> None:
    assert taken(node, signed(body(node.keys.node, STOP)))


def test_every_byte_of_an_envelope_counts(node: Node) -> None:
    envelope = signed(body(node.keys.node, STOP))
    for at in range(len(envelope)):
        for flip in (0x01, 0x80):
            broken = bytearray(envelope)
            broken[at] ^= flip
            assert not taken(node, bytes(broken)), at
    for length in range(0, len(envelope), 7):
        assert not taken(node, envelope[:length])
    assert not taken(node, envelope + b"x")


def test_order_for_another_node_installation_or_epoch_is_refused(node: Node) -> None:
    for name, value, code in (
        ("node", "n-0000000000000000", "refused.node"),
        ("installation", "i-another0another0", "refused.installation"),
        ("epoch", 2, "refused.epoch"),
    ):
        made = msgspec.structs.replace(body(node.keys.node, STOP), **{name: value})
        assert why(node, signed(made)) == code


def test_times_are_kept(node: Node) -> None:
    now = now_ms()
    hour = 3_600_000
    at = {"not_before_ms": now - 2 * hour, "expires_ms": now - hour}
    assert why(node, signed(body(node.keys.node, STOP, **at))) == "refused.expired"
    at = {"not_before_ms": now + hour, "expires_ms": now + 2 * hour}
    assert why(node, signed(body(node.keys.node, STOP, **at))) == "refused.not_yet"
    at = {"not_before_ms": now, "expires_ms": now + limits.ORDER_LIFETIME_S * 1000 + 1}
    assert why(node, signed(body(node.keys.node, STOP, **at))) == "refused.lifetime"


def test_clock_set_back_makes_no_old_order_young(node: Node) -> None:
    now, hour = now_ms(), 3_600_000
    assert taken(node, signed(body(node.keys.node, STOP)))  # raises the floor to now
    old = signed(body(node.keys.node, STOP, not_before_ms=now - 2 * hour, expires_ms=now - hour))
    assert why(node, old, now=now - 2 * hour) == "refused.expired"


def test_unknown_verb_is_refused_by_its_name(node: Node) -> None:
    assert why(node, changed(node, order={"verb": "host.shell", "command": "id"})) == "refused.unknown_verb"


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"order": {"verb": "container.stop", "target": {"type": "part", "deployment": "d-x"}}},
        {"order": {"verb": "container.stop", "stop_within_s": 10}},
        {"v": 2},
        {"v": True},
        {"expires_ms": "soon"},
        {"expires_ms": 1e15},
        {"actor": "p" * 81},
        {"conditions": "none"},
        {"order": {"target": {}}},
        {"id": "o-1"},
    ],
    ids=str,
)
def test_order_of_another_form_is_refused(node: Node, change: dict[str, Any]) -> None:
    assert why(node, changed(node, **change)) == "refused.form"


@pytest.mark.parametrize("field", ["stop_within_s"])
@pytest.mark.parametrize("value", [True, "10", 10.5, 0, 301, None, [10]])
def test_argument_of_another_type_is_refused(node: Node, field: str, value: object) -> None:
    order = json.loads(msgspec.json.encode(STOP)) | {field: value}
    assert why(node, changed(node, order=order)) == "refused.form"


def test_conditions_that_nobody_can_check_are_refused(node: Node) -> None:
    assert why(node, signed(body(node.keys.node, STOP, conditions=("2 GB free",)))) == "refused.condition"
    assert why(node, signed(body(node.keys.node, STOP, plan="x"))) == "refused.condition"


def hostile_payloads(node: Node) -> list[bytes]:
    whole = encode_order(body(node.keys.node, STOP))
    return [
        whole.replace(b'"v":1', b'"v":1,"v":1'),  # duplicate keys: msgspec alone would take the last
        whole.replace(b'"verb":"container.stop"', b'"verb":"node.facts","verb":"container.stop"'),
        whole.replace(b'"epoch":1', b'"epoch":1.0'),
        whole.replace(b'"epoch":1', b'"epoch":NaN'),
        whole.replace(b'"epoch":1', b'"epoch":1e99'),
        whole.replace(b'"epoch":1', b'"epoch":' + b"9" * 5000),
        whole.replace(b'"conditions":[]', b'"conditions":' + b"[" * 5000 + b"]" * 5000),
        whole.replace(b'"conditions":[]', b'"conditions":' + b"[" * 20 + b"]" * 20),
        whole.replace(b'"conditions":[]', b'"conditions":[ ]'),
        whole.replace(b"p-test", b"p-\xff\xfe"),
        whole.replace(b"p-test", b"p-\\u0074est"),
        whole + b" ",
        b" " + whole,
        b"[" + whole + b"]",
        b"",
        b"null",
        b"\0" * 100,
        b'"' + b"x" * 50_000 + b'"',
    ]


def test_signed_but_hostile_json_is_refused_without_a_crash(node: Node) -> None:
    for payload in hostile_payloads(node):
        assert why(node, payload_signed(payload)) in ("refused.form", "refused.size"), payload[:80]


def test_order_that_is_too_large_is_refused(node: Node) -> None:
    payload = encode_order(body(node.keys.node, STOP))
    payload = payload.replace(b'"s-test"', b'"' + b"s" * limits.ORDER_BYTES + b'"')
    assert why(node, payload_signed(payload)) in ("refused.size", "refused.form")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    assert not isinstance(examine(noise, _quiet_node(), now_ms()), Accepted)


_quiet: list[Node] = []


def _quiet_node() -> Node:
    if not _quiet:
        import tempfile

        data = Path(tempfile.mkdtemp())
        prepare(data / "agent", "unix:///nowhere/docker.sock")
        _quiet.append(open_node(data / "agent"))
    return _quiet[0]


def test_only_the_dispatch_key_orders(node: Node) -> None:
    payload = encode_order(body(node.keys.node, STOP))
    stranger = SigningKey(b"s" * 32)
    assert why(node, payload_signed(payload, key=stranger)) == "refused.signature"
    assert why(node, payload_signed(payload, kind=RESULT_TYPE)) == "refused.form"
    outer = json.loads(payload_signed(payload, key=stranger))
    outer["signatures"][0]["keyid"] = key_id(bytes(DISPATCH.verify_key))  # own key under another's name
    assert why(node, json.dumps(outer).encode()) == "refused.signature"


def test_signatures_are_counted_and_all_must_hold(node: Node) -> None:
    payload = encode_order(body(node.keys.node, STOP))
    good = json.loads(payload_signed(payload))
    signature = good["signatures"][0]
    bad = dict(signature, sig=base64.b64encode(b"\0" * 64).decode())
    stranger = json.loads(payload_signed(payload, key=SigningKey(b"s" * 32)))["signatures"][0]
    for signatures in ([], [signature] * 2, [signature] * 100, [signature, bad], [signature, stranger]):
        outer = dict(good, signatures=signatures)
        assert not taken(node, json.dumps(outer).encode()), len(signatures)
    raw = DISPATCH.sign(payload).signature  # signed without the pre-authentication encoding
    outer = dict(good, signatures=[dict(signature, sig=base64.b64encode(raw).decode())])
    assert why(node, json.dumps(outer).encode()) == "refused.signature"
    assert pae("t", b"x") == b"DSSEv1 1 t 1 x"


def test_known_order_is_answered_whatever_the_clock_says_and_another_one_of_its_id_refused(
    tmp_path: Path,
) -> None:
    prepare(tmp_path / "agent", "unix:///nowhere/docker.sock")
    desk = Desk(tmp_path / "agent")
    what = desk.send(STOP)
    assert desk.result(what.id).problem is not None
    long_after = what.expires_ms + 10**9
    assert isinstance(examine(signed(what), desk.node, long_after), Known)
    other = msgspec.structs.replace(what, actor="p-other")
    assert why(desk.node, signed(other)) == "refused.reused_id"
    desk.close()


def test_refusal_is_a_signed_result_and_does_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "agent", "unix:///nowhere/docker.sock")
    desk = Desk(tmp_path / "agent")
    what = body(desk.node.keys.node, STOP)
    stranger = signed(what, SigningKey(b"s" * 32))
    desk.carrier.receive(stranger)
    refused = desk.result(what.id)
    assert refused.problem is not None
    assert (refused.outcome, refused.problem.code) == ("refused", "refused.signature")
    assert desk.node.journal.order(what.id) is None
    desk.carrier.receive(signed(what))  # the real one: tried, and answered by the engine's absence
    assert wait_until(lambda: len(desk.results(what.id)) == 2, 60)
    real = desk.results(what.id)[1]
    assert real.problem is not None
    assert (real.outcome, real.problem.code) == ("failed", "engine_down")
    desk.told.clear()
    desk.carrier.receive(stranger)  # now the id is taken: no answer that could be mistaken for the real one
    assert [m for m in desk.told if isinstance(m, ResultSaid)] == []
    desk.close()


def test_same_order_twice_is_carried_out_once(tmp_path: Path) -> None:
    prepare(tmp_path / "agent", "unix:///nowhere/docker.sock")
    desk = Desk(tmp_path / "agent")
    what = desk.send(STOP)
    first = desk.result(what.id)
    desk.told.clear()
    desk.carrier.receive(signed(what))
    assert desk.result(what.id) == first
    assert len(desk.node.journal.unkept()) == 1
    desk.close()


def test_purged_order_cannot_come_back(node: Node) -> None:
    now = now_ms()
    what = body(node.keys.node, STOP, not_before_ms=now - 10_000, expires_ms=now - 1000)
    payload = encode_order(what)
    node.journal.start(
        id=what.id,
        sha256="0" * 64,
        payload=payload,
        verb="container.stop",
        deployment="",
        now_ms=now,
        expires_ms=what.expires_ms,
    )
    assert node.journal.purge(now) == 0  # not ended
    node.journal.end(what.id, b"result")
    assert node.journal.purge(now) == 0  # not kept
    node.journal.keep(what.id)
    assert node.journal.purge(what.expires_ms - 1) == 0  # not expired
    assert node.journal.purge(now) == 1
    assert why(node, signed(what), now=now - 5_000) == "refused.expired"


def test_verb_without_look_does_not_register() -> None:
    with pytest.raises(TypeError, match="no look"):
        table.register(PullImage, table.Verb(family="images", do=table.VERBS[PullImage].do))
    assert table.VERBS[PullImage].look is not None


def test_every_order_of_the_vocabulary_has_a_row() -> None:
    import typing

    every = {str(kind.__struct_config__.tag) for kind in typing.get_args(Order)}
    assert set(table.names()) == every - SIMULATED
    assert set(table.names()) >= READING - SIMULATED


SIMULATIONS: dict[str, dict[str, object]] = {
    "volume.list": {},
    "volume.backup": {"deployment": "d-0000000000000000", "volume": "data"},
    "volume.restore": {
        "deployment": "d-0000000000000000",
        "volume": "data",
        "backup": "b-0000000000000000",
    },
    "backup.prune": {"deployment": "d-0000000000000000", "volume": "data"},
    "node.drain": {},
    "node.undrain": {},
    "secret.rotate": {
        "deployment": "d-0000000000000000",
        "name": "PASSWORD",
        "sealed": {"node": "n-0000000000000000", "for_node": "QQ==", "for_recovery": "QQ=="},
    },
    "disk.clean": {},
    "certificate.check": {"host": "example.org"},
    "node.enrol": {"name": "node-2"},
    "deployment.clone": {
        "deployment": "d-0000000000000000",
        "to": "d-0000000000000001",
        "name": "staging",
    },
}


@pytest.mark.parametrize("verb", sorted(SIMULATED))
def test_an_order_that_no_agent_carries_out_yet_is_refused_in_plain_words(node: Node, verb: str) -> None:
    order = msgspec.convert({"verb": verb, **SIMULATIONS[verb]}, Order)
    found = examine(signed(body(node.keys.node, order)), node, now_ms())
    assert isinstance(found, NotTaken)
    assert found.why.code == "refused.unknown_verb"
    assert found.why.says == f"This agent does not know that yet ({verb})."


@pytest.mark.parametrize(
    "pin",
    [
        {"repository": "nginx"},
        {"repository": "nginx", "digest": "sha256:" + "A" * 64},
        {"repository": "nginx", "digest": "sha512:" + "a" * 128},
        {"repository": "nginx", "digest": "sha256:" + "a" * 64 + "\n"},
        {"repository": "nginx:1.27", "digest": "sha256:" + "a" * 64},
        {"repository": "../nginx", "digest": "sha256:" + "a" * 64},
        {"repository": "user@evil/nginx", "digest": "sha256:" + "a" * 64},
        {"repository": "https://evil/nginx", "digest": "sha256:" + "a" * 64},
        {"repository": "--help", "digest": "sha256:" + "a" * 64},
        {"repository": "evil.example/nginx", "digest": "sha256:" + "a" * 64},
        {"repository": "nginx", "digest": "sha256:" + "a" * 64, "blob": "b" * 64, "blob_bytes": 1},
        {"blob": "b" * 64},
        {"blob": "b" * 63 + "\n", "blob_bytes": 1},
        {},
    ],
    ids=str,
)
def test_image_that_is_not_named_exactly_is_refused(node: Node, pin: dict[str, Any]) -> None:
    order = {"verb": "image.pull", "image": {"reference": "nginx"} | pin}
    full = json.loads(encode_order(body(node.keys.node, PullImage(image=ImagePin(reference="nginx")))))
    full["order"]["image"].update(order["image"])
    code = why(node, payload_signed(json.dumps(full, separators=(",", ":")).encode()))
    assert code in ("refused.form", "refused.node_file")


def test_reading_orders_are_checked_alike(node: Node) -> None:
    assert taken(node, signed(body(node.keys.node, GetFacts())))
    assert why(node, signed(body("n-0000000000000000", GetFacts()))) == "refused.node"
