"""`hercules doctor`: checks this installation, and says what to do about each finding."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from bot.cli.common import data_option, json_option, print_json, settings_of
from bot.settings import FILE, NAMES, PREFIX, Settings

OLDEST_PYTHON = (3, 11)
OLDEST_ENGINE = (20, 10)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was seen, and what to do when it is not well."""

    check: str
    ok: bool
    says: str
    do: str = ""


@click.command()
@json_option
@data_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this installation and say what to do.

    Exit code 0 when all is well, else 1. Example: hercules doctor
    """
    settings = settings_of(ctx)
    findings = list(examine(settings))
    if as_json:
        print_json([msgspec.to_builtins(f) for f in findings])
    else:
        for f in findings:
            mark = click.style("ok ", fg="green") if f.ok else click.style("bad", fg="red")
            click.echo(f"{mark}  {f.check:<9} {f.says}" + (f"\n{'':<15}{f.do}" if f.do else ""))
    sys.exit(0 if all(f.ok for f in findings) else 1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, in the order in which one would look."""
    yield _python()
    yield _data(settings)
    yield from _keys(settings)
    yield from _disk(settings)
    yield _environment()
    yield from _engine(settings)
    yield from _running(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] >= OLDEST_PYTHON
    return Finding(
        check="python",
        ok=ok,
        says=f"Python {version}.",
        do="" if ok else f"Hercules needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer.",
    )


def _data(settings: Settings) -> Finding:
    path = settings.data
    if not path.is_dir():
        return Finding(
            check="data", ok=False, says=f"{path} is not there yet.", do="It is made by: hercules up"
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding(
            check="data",
            ok=False,
            says=f"Others may look into {path} (mode {mode:o}).",
            do=f"chmod 700 {path}",
        )
    return Finding(check="data", ok=True, says=f"{path}, closed to everybody else.")


def _keys(settings: Settings) -> Iterator[Finding]:
    if not settings.keys.is_dir():
        return
    from bot.engine.refusals import Spoken
    from bot.fleet import keys

    try:
        installation = keys.ensure(settings.keys)
    except Spoken as e:
        yield Finding(check="keys", ok=False, says=e.sentence, do=e.next_step)
        return
    yield Finding(check="keys", ok=True, says=f"The keys of {installation.id} are whole and closed.")
    if (settings.keys / "recovery.key").exists():
        yield Finding(
            check="recovery",
            ok=True,
            says="The private half of the recovery key is still here.",
            do="Once you keep secrets, take it off this machine: hercules keys recovery",
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    path = settings.data if settings.data.is_dir() else settings.data.parent
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    ok = free > 2 * settings.reserve_bytes
    yield Finding(
        check="disk",
        ok=ok,
        says=f"{free / 1024**3:.1f} GiB free at {path}.",
        do="" if ok else "Make space: below the reserve Hercules takes no more files, and its store ends.",
    )


def _environment() -> Finding:
    import os

    known = {PREFIX + name.upper() for name in NAMES} | {PREFIX + "DATA"}
    strange = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    return Finding(
        check="settings",
        ok=not strange,
        says=f"{', '.join(strange)} set nothing." if strange else f"Read from {FILE}, {PREFIX}* and flags.",
        do=f"Known are {', '.join(sorted(known))}." if strange else "",
    )


def _engine(settings: Settings) -> Iterator[Finding]:
    if not settings.agent:
        return
    from bot.cli import engine

    seen = engine.status()
    if seen.state != "answers":
        yield Finding(
            check="engine",
            ok=False,
            says=f"No Docker Engine answers at {seen.host} ({seen.state}).",
            do="hercules up starts one where it is installed; install it by: apt-get install docker.io",
        )
        return
    version = tuple(int(part) for part in (seen.version or "0").split(".")[:2] if part.isdigit())
    ok = version >= OLDEST_ENGINE
    yield Finding(
        check="engine",
        ok=ok,
        says=f"Docker Engine {seen.version} at {seen.host}.",
        do="" if ok else "Update it: Hercules is tested from 20.10 on.",
    )


def _running(settings: Settings) -> Iterator[Finding]:
    from bot.cli import owner
    from bot.engine.refusals import Spoken

    try:
        status = owner.call(settings, "GET", "/owner/status")
    except Spoken as e:
        log = settings.logs / "bot.log"
        yield Finding(
            check="bot",
            ok=False,
            says=e.sentence,
            do=e.next_step + (f" Its last words are in {log}." if Path(log).exists() else ""),
        )
        return
    yield Finding(check="bot", ok=True, says=f"Hercules {status['version']} runs at {status['url']}")
    for check in status["checks"]:
        yield Finding(
            check=check["name"],
            ok=check["ok"],
            says=check["says"] or "Well.",
            do=check["do"] if check["says"] else "",
        )
    for sentence in status["warnings"]:
        yield Finding(check="store", ok=True, says=sentence)
