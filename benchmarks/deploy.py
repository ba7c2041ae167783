"""What a deploy through the chat costs over the same steps by the `docker` command.

`python -m benchmarks.deploy [--quick]`. Aim: under 150 ms more. Both ways start the welcome demo with the
same restrictions on the same engine and end when its own health check says healthy; they take turns, and
everything is removed between two turns. Twice: with the image on the node, and with it to be brought there
(`docker load` of the archive against upload over the link and import).
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.report import Table, quick
from benchmarks.up import Api, Up, data_directory, lab
from tests.lab.engine import LabEngine

NAME, NODE_PORT = "bench", 20_080
SETTLE_S = 1.5  # the engine still tidies up when a removal has returned; neither way shall pay for the other
RESTRICTIONS = [
    "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--read-only", "--memory=256m",
    "--memory-swap=256m", "--cpus=0.5", "--pids-limit=256", "--ulimit=nofile=4096:8192",
    "--oom-score-adj=100",
    "--log-driver=local", "--log-opt=max-size=10m", "--log-opt=max-file=3", "--restart=unless-stopped",
    "--init",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
]  # fmt: skip


async def by_chat(api: Api) -> float:
    """Seconds from opening the session to its end, healthy."""
    begun = time.monotonic()
    outcome = await api.play("deploy", {"what": "demo", "name": NAME, "port": NODE_PORT})
    if outcome != "done":
        raise RuntimeError(f"the deploy ended as {outcome}")
    return time.monotonic() - begun


def by_docker(engine: LabEngine, archive: Path | None, image: str) -> float:
    """Seconds for load (if an archive is given), network, run and healthy."""
    begun = time.monotonic()
    if archive is not None:
        _docker(engine, "load", "-q", "-i", str(archive))
    else:
        _docker(engine, "image", "inspect", image)
    _docker(engine, "network", "create", "--subnet=10.214.0.0/27", "bench")
    port = f"--publish=127.0.0.1:{NODE_PORT}:8080"
    _docker(engine, "run", "-d", "--name=bench", "--network=bench", port, *RESTRICTIONS, image)
    while _docker(engine, "inspect", "--format={{.State.Health.Status}}", "bench").strip() != "healthy":
        time.sleep(0.02)
    return time.monotonic() - begun


def _docker(engine: LabEngine, *words: str) -> str:
    done = engine.tool(["docker", *words])
    if done.returncode:
        raise RuntimeError(f"docker {words[0]}: {done.stderr}")
    return str(done.stdout)


def measure(runs: int) -> Table:
    """Medians of both ways, with the image there and not there."""
    title = "A deploy through the chat against the `docker` command (aim: under 150 ms more)"
    table = Table(
        title, ("image", "chat, median s", "docker, median s", "more, median ms", "more, min to max ms")
    )
    with lab() as engine, data_directory() as data, Up(engine, data) as up:
        archive, image = _demo(engine, up, data)
        for there in (True, False):
            chat: list[float] = []
            docker: list[float] = []
            for _ in range(runs):
                _clear(engine, up, image=None if there else image)
                docker.append(by_docker(engine, None if there else archive, image))
                _clear(engine, up, image=None if there else image)
                chat.append(asyncio.run(_chat(up)))
            more = [(c - d) * 1000 for c, d in zip(chat, docker, strict=True)]
            table.row(
                "on the node" if there else "to be brought",
                f"{statistics.median(chat):.3f}",
                f"{statistics.median(docker):.3f}",
                f"{statistics.median(more):.0f}",
                f"{min(more):.0f} to {max(more):.0f}",
            )
    return table


async def _chat(up: Up) -> float:
    async with up.api() as api:
        return await by_chat(api)


async def _remove(up: Up) -> None:
    async with up.api() as api:
        await api.play("remove", {"container": NAME, "data": "delete"})


def _clear(engine: LabEngine, up: Up, *, image: str | None) -> None:
    """Take away what either way made; the image too when it is named."""
    names = _docker(engine, "ps", "-a", "--format={{.Names}}").split()
    if "bench" in names:
        _docker(engine, "rm", "-f", "bench")
        _docker(engine, "network", "rm", "bench")
    if any(name.startswith("hercules-") for name in names):
        asyncio.run(_remove(up))
    if image is not None and _docker(engine, "images", "-q", image).strip():
        _docker(engine, "rmi", "-f", image)
    time.sleep(SETTLE_S)


def _demo(engine: LabEngine, up: Up, data: Path) -> tuple[Path, str]:
    """Deploy once, uncounted; the demo's archive among the blobs, and its image's name on the engine."""
    asyncio.run(_chat(up))
    archive = max((p for p in (data / "blobs").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    image = _docker(engine, "ps", "--no-trunc", "--format={{.Image}}").split()[0]
    return archive, image


if __name__ == "__main__":
    try:
        print(measure(3 if quick() else 9))
    except subprocess.TimeoutExpired as e:
        raise SystemExit(f"a command took too long: {e.cmd}") from e
