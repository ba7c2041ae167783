"""`make run` on a fresh Debian 12, by somebody who may use sudo and somebody who may not; start at boot.

Takes three minutes and downloads what a new user downloads, so only `make test-full` runs it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fresh import FreshMachine, fresh_machine

pytestmark = [pytest.mark.full, pytest.mark.timeout(1200)]
CHECKOUT = Path(__file__).resolve().parents[2]
RUN = "cd ~/hercules && (setsid script -qfec 'make run' ~/out.txt </dev/null >/dev/null 2>&1 &)"
LINK = "http://localhost:8088/in/"
UP = "curl -sf http://localhost:8088/readyz"


@pytest.fixture(scope="module")
def fresh() -> Iterator[FreshMachine]:
    with fresh_machine() as machine:
        for user in ("sam", "eve"):
            machine.clone(user, CHECKOUT)
        yield machine


def within(seconds: float, fresh: FreshMachine, script: str, user: str = "sam") -> str:
    """What a script prints once it succeeds."""
    end = time.monotonic() + seconds
    while (done := fresh.run(user, script)).returncode != 0:
        if time.monotonic() > end:
            state = fresh.run(
                "root", "docker ps -a; journalctl -b --no-pager | tail -40; tail -5 /home/sam/out.txt"
            )
            pytest.fail(f"{script}: {done.stdout}\n{state.stdout}")
        time.sleep(0.5)
    return done.stdout


def test_make_run_brings_everything_by_sudo_and_its_service_starts_at_boot(fresh: FreshMachine) -> None:
    fresh.boot(systemd=False)
    said = fresh.run("eve", "cd ~/hercules && make run").stdout
    assert "needs root" in said.splitlines()[-2], said  # one sentence for who may not

    fresh.run("sam", RUN)
    within(600, fresh, f"grep -q {LINK} ~/out.txt")
    said = fresh.run("sam", "cat ~/out.txt").stdout
    assert "installing for the Docker Engine from Debian: docker.io" in said
    assert "starting it by sudo" in said
    deploy = (
        "cd ~/hercules && .venv/bin/hercules chat deploy --data .data --set what=demo --set name=hello --yes"
    )
    assert fresh.run("sam", deploy).returncode == 0
    again = fresh.run("sam", f"{deploy}")
    assert (again.returncode, "is there already" in again.stdout) == (0, True)
    second = fresh.run("sam", "make -C ~/hercules run")
    assert "runs on /home/sam/hercules/.data already" in second.stdout

    fresh.run("sam", "kill -INT $(pgrep -f 'bin/hercules up' | head -1)")
    within(60, fresh, "grep -q 'Hercules has stopped' ~/out.txt")
    assert fresh.run("root", "pgrep -f [a]gent.cli").stdout == ""
    assert "healthy" in fresh.run("root", "docker ps").stdout

    fresh.power_off()
    fresh.boot()
    assert fresh.run("root", "systemctl is-active docker").stdout == "active\n"
    service = "cd ~/hercules && sudo .venv/bin/hercules --data .data service"
    assert "starts with this machine" in fresh.run("sam", f"{service} install").stdout
    within(60, fresh, UP)
    assert fresh.run("root", "ps -o user= $(systemctl show -p MainPID --value hercules)").stdout == "sam\n"
    fresh.power_off()
    fresh.boot()
    within(60, fresh, UP)
    within(60, fresh, "sudo docker ps | grep -q 'healthy.*hello'")
    assert "no longer starts" in fresh.run("sam", f"{service} remove").stdout
    assert fresh.run("root", "systemctl is-active hercules hercules-agent").stdout == "inactive\ninactive\n"

    fresh.run("root", "systemctl stop docker.service docker.socket && rm -f /home/sam/out.txt")
    fresh.run("sam", RUN)
    within(120, fresh, f"grep -q {LINK} ~/out.txt")
    assert "systemctl start docker" in fresh.run("sam", "cat ~/out.txt").stdout
    assert "may not run sudo" in fresh.run("eve", "cd ~/hercules && make run").stdout
