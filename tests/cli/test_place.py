"""The data directory: one Hercules at a time, leftovers ended, a free port found."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import place
from bot.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def test_the_second_to_hold_it_is_told_pid_and_address_of_the_first(settings: Settings) -> None:
    with place.held(settings):
        place.write(settings, place.UpRecord(pid=4711, port=8088, url="http://localhost:8088/"))
        with (
            pytest.raises(place.AlreadyRuns, match=r"pid 4711.*http://localhost:8088/"),
            place.held(settings),
        ):
            pass
    with place.held(settings):
        assert place.read(settings) is None


def test_it_is_closed_to_everybody_else(settings: Settings) -> None:
    settings.data.mkdir(mode=0o755)
    with place.held(settings):
        for path in (settings.data, settings.run, settings.logs):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_what_a_killed_supervisor_left_running_is_ended_by_the_next(settings: Settings) -> None:
    place.make_directories(settings)
    left = subprocess.Popen(["sleep", "60"])
    child = place.started(left.pid)
    assert child is not None
    place.write(settings, place.UpRecord(pid=1, port=1, url="", children={"bot": child}))
    with place.held(settings):
        assert left.wait(5) != 0


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(settings: Settings) -> None:
    place.make_directories(settings)
    other = subprocess.Popen(["sleep", "60"])
    reused = place.Started(pid=other.pid, ticks=1)
    place.write(settings, place.UpRecord(pid=1, port=1, url="", children={"bot": reused}))
    with place.held(settings):
        assert other.poll() is None
    other.kill()
    other.wait()


def test_the_lock_ends_with_its_process_however_that_ends(settings: Settings) -> None:
    program = (
        "import time\nfrom pathlib import Path\nfrom bot.cli import place\n"
        "from bot.settings import Settings\n"
        f"with place.held(Settings(data=Path({str(settings.data)!r}))):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(place.AlreadyRuns), place.held(settings):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with place.held(settings):
        pass


def test_a_port_that_was_asked_for_and_is_taken_is_refused_and_otherwise_the_next_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(place.PortTaken, match=str(port)):
            place.choose_port(port)
    assert place.choose_port(port) == port


def test_the_default_port_moves_on_while_others_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(place, "FIRST_PORT", taken.getsockname()[1])
        assert place.choose_port(None) > taken.getsockname()[1]


def test_two_starts_at_once_get_two_ports_though_nobody_listens_yet() -> None:
    first, claim = place.claim_port(None)
    second, other = place.claim_port(None)
    with other:
        assert second > first
    with pytest.raises(place.PortTaken, match=str(first)):
        place.claim_port(first)
    claim.close()
    again, claim = place.claim_port(first)
    claim.close()
    assert again == first


def test_a_port_that_is_listened_on_cannot_be_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(place.PortTaken, match=str(port)):
            place.claim_port(port)
        monkeypatch.setattr(place, "FIRST_PORT", port)
        monkeypatch.setattr(place, "PORTS_TRIED", 1)
        with pytest.raises(place.NoPort):
            place.claim_port(None)


def test_this_process_lives_and_is_not_an_earlier_one_of_the_same_pid() -> None:
    own = place.started(os.getpid())
    assert own is not None
    assert place.lives(own)
    assert not place.lives(place.Started(pid=own.pid, ticks=own.ticks - 1))
