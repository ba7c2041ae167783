"""The key directory: made once, whole or not at all, and never made again."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nacl.public import PrivateKey, SealedBox

from bot.fleet import keys
from bot.fleet.keys import ensure
from bot.fleet.nodes import Pins, node_id, write_pin
from bot.fleet.refusals import KeysDamaged, NoSuchNode, SecretTooLarge
from bot.fleet.sealing import sealed

FILES = {"installation.json", "dispatch.key", "tag.key", "recovery.pub", "recovery.key"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_the_first_start_makes_every_key_for_its_owner_only(directory: Path) -> None:
    made = ensure(directory)
    assert made.first_start
    assert {p.name for p in directory.iterdir()} == FILES
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in directory.iterdir()} == {0o600}


def test_the_next_start_finds_the_same_keys(directory: Path) -> None:
    first, second = ensure(directory), ensure(directory)
    assert not second.first_start
    assert (first.id, first.epoch, first.dispatch_public, first.tag_key) == (
        second.id,
        second.epoch,
        second.dispatch_public,
        second.tag_key,
    )
    assert first.fingerprint == second.fingerprint


def test_two_installations_have_nothing_in_common(tmp_path: Path) -> None:
    one, other = ensure(tmp_path / "a"), ensure(tmp_path / "b")
    assert one.id != other.id
    assert one.dispatch_public != other.dispatch_public
    assert one.tag_key != other.tag_key
    assert one.recovery_public != other.recovery_public


def test_no_key_shows_in_a_repr(directory: Path) -> None:
    made = ensure(directory)
    shown = repr(made)
    assert made.tag_key.hex() not in shown
    assert bytes(made.dispatch).hex() not in shown
    assert "dispatch" not in shown


def test_first_starts_at_once_make_one_set(directory: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: ensure(directory), range(32)))
    assert len({m.id for m in made}) == 1
    assert len({m.tag_key for m in made}) == 1


def test_a_first_start_that_dies_at_any_point_is_finished_with_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count through the steps on the disk: each rename and unlink of the set may be the last one."""
    real: dict[str, Callable[..., object]] = {"rename": Path.rename, "unlink": Path.unlink}
    points = 0
    while True:
        directory = tmp_path / str(points)
        steps = iter(range(points))

        def dying(name: str, steps: object = steps) -> Callable[..., object]:
            def step(self: Path, *args: object, **kwargs: object) -> object:
                if name == "unlink" and not self.exists():
                    return real[name](self, *args, **kwargs)
                if next(steps, None) is None:  # type: ignore[call-overload]
                    raise KeyboardInterrupt
                return real[name](self, *args, **kwargs)

            return step

        with monkeypatch.context() as patched:
            for name in real:
                patched.setattr(Path, name, dying(name))
            try:
                ensure(directory)
            except KeyboardInterrupt:
                died = True
            else:
                died = False
        drawn = directory / "first.json"
        wanted = json.loads(drawn.read_text()) if drawn.exists() else None
        made = ensure(directory)
        assert {p.name for p in directory.iterdir() if not p.name.startswith(".")} == FILES
        if wanted:
            assert (made.id, made.tag_key.hex()) == (wanted["id"], wanted["tag"])
        assert ensure(directory).fingerprint == made.fingerprint
        if not died:
            break
        points += 1
    assert points >= 7


@pytest.mark.parametrize("name", sorted(FILES - {"recovery.key"}))
def test_a_missing_file_is_said_and_nothing_is_made_anew(directory: Path, name: str) -> None:
    ensure(directory)
    (directory / name).unlink()
    before = _contents(directory)
    with pytest.raises(KeysDamaged) as refused:
        ensure(directory)
    assert f"{name} is missing" in refused.value.sentence
    assert "backup" in refused.value.next_step
    assert _contents(directory) == before


def test_an_installation_that_lost_all_its_keys_but_has_nodes_is_refused(directory: Path) -> None:
    ensure(directory)
    write_pin(directory, identity="a" * 64, sealing="b" * 64)
    for name in FILES:
        (directory / name).unlink()
    with pytest.raises(KeysDamaged, match="every key is gone"):
        ensure(directory)
    assert not (directory / "dispatch.key").exists()


@pytest.mark.parametrize("text", ['{"made":true}', '{"admin":"x","bot":"y","made":true}', "{"])
def test_an_installation_that_lost_all_its_keys_but_has_a_store_is_refused(
    directory: Path, text: str
) -> None:
    ensure(directory)
    for name in FILES:
        (directory / name).unlink()
    keys.write_private(directory / "store.json", text.encode())
    with pytest.raises(KeysDamaged, match="every key is gone"):
        ensure(directory)
    assert not (directory / "dispatch.key").exists()


def test_passwords_of_a_store_that_was_not_made_yet_hinder_no_first_start(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    keys.write_private(directory / "store.json", b'{"admin":"x","bot":"y","made":false}')
    assert ensure(directory).first_start


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("content", [b"", b"xyz", b"0" * 63, b"\xff" * 64, b"{}", b"0" * 65])
def test_a_damaged_file_is_said_and_left_as_it_is(directory: Path, name: str, content: bytes) -> None:
    ensure(directory)
    (directory / name).write_bytes(content)
    with pytest.raises(KeysDamaged) as refused:
        ensure(directory)
    assert name in refused.value.sentence
    assert (directory / name).read_bytes() == content


def test_recovery_keys_that_are_no_pair_are_refused(directory: Path) -> None:
    ensure(directory)
    (directory / "recovery.key").write_text(bytes(PrivateKey.generate()).hex())
    with pytest.raises(KeysDamaged, match="no pair"):
        ensure(directory)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o610])
def test_a_file_that_others_may_open_is_refused(directory: Path, name: str, mode: int) -> None:
    ensure(directory)
    (directory / name).chmod(mode)
    with pytest.raises(KeysDamaged) as refused:
        ensure(directory)
    assert f"others may open {name} (mode {mode:o})" in refused.value.sentence
    assert "chmod" in refused.value.next_step


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o701])
def test_a_directory_that_others_may_enter_is_refused(directory: Path, mode: int) -> None:
    ensure(directory)
    directory.chmod(mode)
    with pytest.raises(KeysDamaged, match="others may open the directory"):
        ensure(directory)


def test_a_file_of_another_owner_is_refused(directory: Path) -> None:
    ensure(directory)
    os.chown(directory / "dispatch.key", 12_345, -1)
    with pytest.raises(KeysDamaged, match="another user"):
        ensure(directory)


def test_a_directory_of_another_owner_is_refused(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    os.chown(directory, 12_345, -1)
    with pytest.raises(KeysDamaged, match="another user"):
        ensure(directory)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_link_in_place_of_a_file_is_refused(directory: Path, name: str) -> None:
    ensure(directory)
    elsewhere = directory.parent / "elsewhere"
    shutil.move(directory / name, elsewhere)
    (directory / name).symlink_to(elsewhere)
    with pytest.raises(KeysDamaged, match=name):
        ensure(directory)


def test_a_link_in_place_of_the_directory_is_refused(directory: Path) -> None:
    ensure(directory)
    moved = directory.rename(directory.with_name("moved"))
    directory.symlink_to(moved)
    with pytest.raises(KeysDamaged):
        ensure(directory)


def test_a_pipe_in_place_of_a_file_is_refused_at_once(directory: Path) -> None:
    ensure(directory)
    (directory / "tag.key").unlink()
    os.mkfifo(directory / "tag.key", 0o600)
    with pytest.raises(KeysDamaged, match="no file"):
        ensure(directory)


def test_the_recovery_key_is_handed_out_until_it_is_forgotten(directory: Path) -> None:
    made = ensure(directory)
    private = made.recovery_private()
    assert private is not None
    assert PrivateKey(bytes.fromhex(private)).public_key == made.recovery_public
    assert made.recovery_taken_ms() == 0
    assert made.forget_recovery_private()
    assert made.recovery_private() is None
    assert made.recovery_taken_ms() > 1_600_000_000_000
    assert not made.forget_recovery_private()
    again = ensure(directory)
    assert again.recovery_private() is None
    assert again.recovery_public == made.recovery_public


def test_a_secret_opens_with_the_nodes_key_and_with_the_recovery_key_only(directory: Path) -> None:
    made = ensure(directory)
    node = PrivateKey.generate()
    value = sealed(
        b"s3cret", node="n-0000000000000000", node_key=node.public_key, recovery_key=made.recovery_public
    )
    private = made.recovery_private()
    assert private is not None
    assert _opened(node, value.for_node) == b"s3cret"
    assert _opened(PrivateKey(bytes.fromhex(private)), value.for_recovery) == b"s3cret"
    with pytest.raises(Exception, match="decrypt"):
        _opened(node, value.for_recovery)
    assert b"s3cret" not in repr(value).encode()


def test_a_secret_that_fits_no_order_is_refused(directory: Path) -> None:
    made = ensure(directory)
    with pytest.raises(SecretTooLarge):
        sealed(b"x" * 8_193, node="n", node_key=made.recovery_public, recovery_key=made.recovery_public)


def test_a_pin_is_found_by_the_id_of_its_identity(directory: Path) -> None:
    ensure(directory)
    node = write_pin(directory, identity="a" * 64, sealing="b" * 64, name="box")
    assert node == node_id("a" * 64)
    pins = Pins(directory)
    pins.read()
    assert (pins.of(node).sealing_hex, pins.of(node).name) == ("b" * 64, "box")
    assert stat.S_IMODE((directory / "nodes" / f"{node}.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text(json.dumps({"identity": "a" * 64})),
        lambda path: path.write_text(json.dumps({"identity": "c" * 64, "sealing": "b" * 64})),
        lambda path: path.chmod(0o644),
        lambda path: os.chown(path, 12_345, -1),
        lambda path: path.rename(path.with_name("n-0000000000000000.json")),
    ],
    ids=["half", "without a key", "another's keys", "open to others", "another's file", "another's name"],
)
def test_a_pin_that_cannot_be_believed_counts_for_nothing(
    directory: Path, damage: Callable[[Path], object]
) -> None:
    ensure(directory)
    node = write_pin(directory, identity="a" * 64, sealing="b" * 64)
    good = write_pin(directory, identity="d" * 64, sealing="b" * 64)
    damage(directory / "nodes" / f"{node}.json")
    pins = Pins(directory)
    pins.read()
    assert [pin.node for pin in pins.all()] == [good]
    with pytest.raises(NoSuchNode):
        pins.of(node)


def _opened(key: PrivateKey, text: str) -> bytes:
    import base64

    return bytes(SealedBox(key).decrypt(base64.b64decode(text)))


def _contents(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir()}


def test_the_table_in_the_module_names_every_file() -> None:
    assert keys.__doc__ is not None
    for name in FILES | {"store.json", "nodes/"}:
        assert name in keys.__doc__
