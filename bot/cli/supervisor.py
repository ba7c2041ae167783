"""`hercules up`: starts store, bot and agent, keeps them running, and ends them in order.

Rule 1: the supervisor holds nothing; each process finds everything in the data directory, so any of them may
be killed at any time and is started again. Rule 2: the bot is started first, since its imports take longest,
then what it waits for, then the rest; nothing heavy is imported here before that. Rule 3: agent, bot, store
are ended in this order, so that what is under way is still committed; the Docker Engine and its containers
are nobody's child here and go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.cli import own_node, owner, place, store_keys
from bot.cli.common import NotRunning
from bot.cli.watched import Watched
from bot.engine.refusals import Gone, Spoken
from bot.fleet import keys as fleet_keys
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.store.embedded import EmbeddedStore

READY_WITHIN_S = 60.0
TELL_EVERY_S = 4.0  # a terminal that says nothing for longer looks as if it hung
STOP_WITHIN_S = 20.0
HURRY_S = 2.0  # for the store after a second Ctrl-C
STORE_PAUSE_S = 2.0

Say = Callable[[str], None]


class BotNotReady(Gone):
    """The bot was started and does not answer."""

    code = "bot_not_ready"
    says = "The bot does not answer; the last it says: {last}"
    do = "Its log is {log}."


class Supervisor:
    """One running Hercules on one data directory, which the caller holds (`place.held`).

    `agent_elsewhere`: the agent of this machine is started by a service of its own, as root.
    """

    def __init__(
        self, settings: Settings, *, say: Say, show_link: bool = True, agent_elsewhere: bool = False
    ) -> None:
        self.settings = settings
        self._agent_elsewhere = agent_elsewhere
        self._say = say
        self._show_link = show_link
        self._installation = fleet_keys.ensure(settings.keys)
        self._store_keys = store_keys.ensure(settings)
        self._port, self._port_claim = place.claim_port(settings.port)  # until this process ends
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._store: EmbeddedStore | None = None
        self._bot = self._watched("bot", self._bot_words())
        self._agent: Watched | None = None
        self._closing = False

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://localhost:{self._port}/"

    async def run(self) -> None:
        """Start all, wait for the end to be asked for, end all. Raises Spoken when the start fails."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop)
        self._write()
        tasks = []
        try:
            if self.settings.agent:
                if not self._agent_elsewhere:
                    self._agent = self._watched("agent", self._agent_words(), by_sudo=os.geteuid() != 0)
                own_node.introduce(self.settings, self._installation)
            await self._bot.start()
            if not self.settings.redis:
                self._store = self._embedded()
                await self._start_store(self._store)
                tasks.append(asyncio.create_task(self._keep_store(self._store), name="keep store"))
            if self._agent is not None:
                await self._agent.start()
            await self._until_ready()
            await self._greet()
            if self.settings.agent:
                tasks.append(asyncio.create_task(self._ensure_engine(), name="engine"))
            await self._stop.wait()
        finally:
            self._closing = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end()

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        else:
            self._say("Stopping Hercules. (Ctrl-C again: at once)")
        self._stop.set()

    # -- starting

    def _watched(self, name: str, words: list[str], *, by_sudo: bool = False) -> Watched:
        return Watched(
            name,
            words,
            log=self.settings.logs / f"{name}.log",
            say=self._say,
            on_start=self._write,
            # a password may stand in it, and command lines are seen by everybody
            environment={**os.environ, "HERCULES_REDIS": self.settings.redis}
            if self.settings.redis
            else None,
            stops_by_pipe=by_sudo,
        )

    def _bot_words(self) -> list[str]:
        data = str(self.settings.data)
        return [sys.executable, "-P", "-m", "bot", "--data", data, "serve", "--port", str(self._port)]

    def _agent_words(self) -> list[str]:
        agent = agent_words(self.settings)
        if os.geteuid() == 0:
            return agent
        if shutil.which("sudo") is None:
            raise NeedsRoot()
        self._say(
            "The agent starts containers and keeps their secrets, which only root may: starting it by sudo."
        )
        if subprocess.run(["sudo", "-v"], check=False).returncode != 0:  # asks for a password, if at all, now
            raise MayNotSudo()
        host = os.environ.get("DOCKER_HOST")
        environment = ["env", f"DOCKER_HOST={host}"] if host else []
        return ["sudo", "--", sys.executable, "-P", "-m", "bot.cli.as_root", *environment, *agent]

    def _embedded(self) -> EmbeddedStore:
        from bot.store.embedded import EmbeddedStore

        return EmbeddedStore(
            self.settings.data, admin_password=self._store_keys.admin, bot_password=self._store_keys.bot
        )

    async def _start_store(self, store: EmbeddedStore) -> None:
        await store.start()
        self._write()

    async def _keep_store(self, store: EmbeddedStore) -> None:
        """Start the store again whenever it ends; on a full disk only when there is space."""
        from bot.store.errors import StoreError

        while True:
            reason: Exception = await store.wait()
            self._say(f"The store ended; starting it again. {reason}")
            while not store.running:
                try:
                    await self._start_store(store)
                except StoreError as again:
                    if str(again) != str(reason):
                        self._say(str(again))
                    reason = again
                    await asyncio.sleep(STORE_PAUSE_S)

    async def _ensure_engine(self) -> None:
        """Have a Docker Engine answer; without one Hercules runs, and says so in the chat."""
        from bot.cli import engine

        try:
            await asyncio.to_thread(engine.ensure, self._say)
        except engine.EngineError as e:
            if os.geteuid() == 0 or engine.status().state != "denied":  # the agent is root and gets in
                self._say(f"{e.sentence} {e.next_step}")

    async def _until_ready(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        tell = time.monotonic() + TELL_EVERY_S
        while not self._stop.is_set():
            with contextlib.suppress(NotRunning):
                await asyncio.to_thread(owner.call, self.settings, "GET", "/owner/status")
                return
            if time.monotonic() > end:
                raise BotNotReady(last=self._bot.last_line(), log=self._bot.log)
            if time.monotonic() > tell:
                tell += TELL_EVERY_S
                self._say("Hercules is starting …")
            await asyncio.sleep(0.03)

    async def _greet(self) -> None:
        if self._stop.is_set():
            return
        if not self._show_link:
            self._say(f"Hercules runs at {self.url}")
            return
        made = await asyncio.to_thread(owner.call, self.settings, "POST", "/owner/people/owner/link")
        self._say(
            f"Hercules runs. Open this link to sign in (for one use, within an hour):\n\n  {made['url']}\n"
        )
        if hint := ssh_hint(self._port, os.environ):
            self._say(hint)
        self._say("Ctrl-C stops Hercules; what you deployed goes on running.")

    # -- ending

    async def _end(self) -> None:
        for child in (self._agent, self._bot):
            if child is not None:
                await child.stop(STOP_WITHIN_S, hurry=self._hurry)
        if self._store is not None and self._store.running:
            await self._store.stop(within_s=HURRY_S if self._hurry.is_set() else STOP_WITHIN_S)
        if self._bot.process is not None:
            self._say("Hercules has stopped.")

    def _write(self) -> None:
        """Record who runs here; the store is left out, since the next start adopts it."""
        children = {}
        for child in (self._bot, self._agent) if not self._closing else ():
            if child is not None and (started := child.started()):
                children[child.name] = started
        place.write(
            self.settings,
            place.UpRecord(pid=os.getpid(), port=self._port, url=self.url, children=children),
        )


class NeedsRoot(Spoken):
    """The agent cannot be started."""

    code = "needs_root"
    says = "The agent starts containers, which only root may, and there is no sudo here."
    do = "Run this as root, or without an agent: hercules up --no-agent"


class MayNotSudo(Spoken):
    """sudo does not start programs for this user."""

    code = "may_not_sudo"
    says = "The agent starts containers, which only root may, and sudo does nothing for you here."
    do = "Have a user run this who may use sudo, or run it without an agent: hercules up --no-agent"


def agent_words(settings: Settings) -> list[str]:
    """The command that runs the agent of this machine."""
    data, socket = str(settings.agent_data), f"unix:{settings.agent_socket}"
    return [sys.executable, "-P", "-m", "agent.cli", "run", "--data", data, "--bot", socket]


def ssh_hint(port: int, environment: os._Environ[str] | dict[str, str]) -> str:
    """What to type on the own machine when this one is reached over SSH; "" otherwise."""
    words = environment.get("SSH_CONNECTION", "").split()
    if len(words) != 4:
        return ""
    user = environment.get("USER") or environment.get("LOGNAME") or "root"
    port_option = "" if words[3] == "22" else f" -p {words[3]}"
    return (
        "You are here over SSH. On your own machine, type this first, then open the link there:\n\n"
        f"  ssh -L {port}:localhost:{port}{port_option} {user}@{words[2]}\n"
    )
