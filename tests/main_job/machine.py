"""One machine with the real everything: `hercules up` inside a lab's namespace, with that lab's engine.

Its localhost is the lab's own, so ports never meet another test's. The command line is run inside too.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from bot.cli import place
from bot.settings import Settings
from tests.lab.engine import LabEngine
from tests.lab.processes import Proc, wait_until

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 60
STOP_WITHIN_S = 45


class Machine:
    """A data directory, and the Hercules that runs on it."""

    def __init__(self, engine: LabEngine, folder: Path) -> None:
        self.engine = engine
        self.data = folder / "d"
        self.settings = Settings(data=self.data)
        self.out = folder / "up.out"
        self._up: subprocess.Popen[bytes] | None = None
        self._token = ""

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in self.engine.env.items() if not k.startswith(("HERCULES_", "SSH_"))}
        return {**kept, "NO_COLOR": "1"}

    def up(self, *more: str) -> str:
        """Start it; returns the one-time link once it answers."""
        up = self.begin_up(*more)
        came = wait_until(lambda: up.poll() is not None or "Ctrl-C" in self.said(), READY_WITHIN_S)
        assert came, self.all_logs()
        assert up.poll() is None, self.all_logs()
        links: list[str] = re.findall(r"http://localhost:\d+/in/\S+", self.said())
        return links[-1]

    def begin_up(self, *more: str) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        assert self._up is None
        self.out.unlink(missing_ok=True)
        with self.out.open("wb") as out:
            self._up = subprocess.Popen(
                self.words("up", *more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.env,
                cwd="/",
                start_new_session=True,
            )
        return self._up

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as Ctrl-C does; returns the exit code."""
        assert self._up is not None
        self._up.send_signal(number)
        code = self._up.wait(STOP_WITHIN_S)
        self._up = None
        return code

    def kill_up(self) -> None:
        """Kill the supervisor alone."""
        assert self._up is not None
        self._up.kill()
        self._up.wait()
        self._up = None

    def close(self) -> None:
        """End everything, however it stands."""
        if self._up is not None and self._up.poll() is None:
            self.stop()
        place.end_leftovers(self.settings)
        if self.data.exists():
            for line in (self.data / "run").glob("valkey.pid"):
                if proc := Proc.of(int(line.read_text())):
                    proc.end(10)

    def said(self) -> str:
        """What `up` printed."""
        return self.out.read_text(errors="replace") if self.out.exists() else ""

    def all_logs(self) -> str:
        """What `up` printed and the ends of all logs, for a failed assertion."""
        logs = sorted((self.data / "logs").glob("*.log")) if self.data.exists() else []
        ends = (f"--- {p.name}\n" + "\n".join(p.read_text(errors="replace").splitlines()[-25:]) for p in logs)
        return "\n".join([self.said(), *ends])

    def process(self, name: str) -> Proc:
        """The bot, the agent or the store."""
        if name == "store":
            proc = Proc.of(int((self.data / "run/valkey.pid").read_text()))
        else:
            record = place.read(self.settings)
            proc = Proc.of(record.children[name].pid) if record and name in record.children else None
        assert proc is not None, f"the {name} does not run\n{self.all_logs()}"
        return proc

    def kill(self, name: str) -> None:
        """Kill -9 the bot, the agent or the store; the supervisor starts it again."""
        self.process(name).signal(signal.SIGKILL)

    def until_back(self, name: str) -> None:
        """Wait until the supervisor has started it again."""
        assert wait_until(lambda: self._lives(name), 60), self.all_logs()

    def _lives(self, name: str) -> bool:
        try:
            return self.process(name).lives()
        except (AssertionError, OSError, ValueError):  # ValueError: its pid file is being written
            return False

    def cli(self, *words: str, within_s: float = 120, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `hercules` inside."""
        return subprocess.run(
            self.words(*words),
            text=True,
            capture_output=True,
            timeout=within_s,
            env=self.env,
            cwd="/",
            input=stdin,
        )

    def chat(self, flow: str, *flags: str, **given: Any) -> subprocess.CompletedProcess[str]:
        """Run a chatflow as a script."""
        words = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        return self.cli("chat", flow, *words, *flags)

    def api(self, method: str, path: str, body: Any = None, *, within_s: float = 60) -> tuple[int, Any]:
        """One call of the API over TCP with a token, tried again while the bot is away."""
        if not self._token:
            self._token = self.cli("user", "token", "--label", "test").stdout.strip()
        end = time.monotonic() + within_s
        while True:
            try:
                status, answer = self._call(method, path, body)
            except (OSError, http.client.HTTPException):
                status, answer = 503, None
            if status != 503 or time.monotonic() > end:
                return status, answer
            time.sleep(0.1)

    def forget_token(self, other: str) -> None:
        """Speak with another token from now on."""
        self._token = other

    def wait_for_agent(self) -> None:
        """Wait until the agent of this machine is connected."""
        assert wait_until(self._agent_is_there, READY_WITHIN_S), self.all_logs()

    def _agent_is_there(self) -> bool:
        listed = self.cli("node", "list", "--json")
        return listed.returncode == 0 and any(node["online"] for node in json.loads(listed.stdout))

    def begin(self, flow: str, **answers: Any) -> str:
        """Open a session over the API; returns its id."""
        status, session = self.api(
            "POST", "/sessions", {"id": f"t-{time.time_ns()}", "flow": flow, "answers": answers}
        )
        assert status == 201, f"{session}\n{self.all_logs()}"
        return str(session["id"])

    def until_asked(self, session: str, name: str = "", *, within_s: float = 60) -> dict[str, Any]:
        """Wait until the session asks (that question), or has ended; returns it."""
        end = time.monotonic() + within_s
        while True:
            status, now = self.api("GET", f"/sessions/{session}")
            assert status == 200, now
            shown = now["prompt"]
            if now["status"] != "open" or (shown and not shown["loading"] and name in ("", shown["name"])):
                return dict(now)
            assert time.monotonic() < end, f"still not asking {name}: {now}\n{self.all_logs()}"
            time.sleep(0.05)

    def answer(self, session: str, seq: int, value: Any, *, id: str = "") -> tuple[int, Any]:
        """Answer prompt `seq`; tried again with the same id while the bot is away."""
        body = {"seq": seq, "id": id or f"a-{time.time_ns()}", "value": value}
        return self.api("POST", f"/sessions/{session}/answers", body)

    def entries(self, session: str) -> list[dict[str, Any]]:
        """The transcript."""
        status, page = self.api("GET", f"/sessions/{session}/entries?after=0")
        assert status == 200, page
        return list(page["items"])

    def containers(self) -> list[str]:
        """Names of the containers on the engine, running or not."""
        found = self.engine.client().containers.list(all=True, ignore_removed=True)
        return sorted(str(c.name) for c in found)

    def memory(self) -> dict[str, int]:
        """Resident kilobytes by process."""
        return {n: _resident_kb(self.process(n).pid) for n in ("bot", "agent", "store")}

    def words(self, *words: str) -> list[str]:
        """The command line `hercules …` inside."""
        return [*self.engine.prefix, sys.executable, "-P", "-m", "bot", "--data", str(self.data), *words]

    def _call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        record = place.read(self.settings)
        assert record is not None
        connection = http.client.HTTPConnection("localhost", record.port, timeout=40)
        connection.sock = self.engine.new_socket()
        try:
            connection.sock.settimeout(40)
            connection.sock.connect(("127.0.0.1", record.port))
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
            return response.status, msgspec.json.decode(raw) if raw else None
        finally:
            connection.close()


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])


def clean_environment() -> dict[str, str]:
    """The environment of this process without what Hercules reads."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HERCULES_")}
