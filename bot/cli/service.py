"""`hercules service`: start at boot, by systemd where it runs, else by a line for your init."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from pathlib import Path

import click

from bot.cli.common import data_option, say_error, settings_of
from bot.settings import Settings

UNIT = Path("/etc/systemd/system/hercules.service")
AGENT_UNIT = UNIT.with_name("hercules-agent.service")  # only where Hercules itself does not run as root
CRON = "@reboot"
DOCS = Path(__file__).resolve().parents[2] / "docs/operators.md"


@click.group()
def service() -> None:
    """Start Hercules when this machine starts.

    Example: sudo hercules service install
    """


@service.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The port to use (default: as running, else 8088)."
)
@data_option
@click.pass_context
def install(ctx: click.Context, port: int | None) -> None:
    """Install the systemd unit, or say the line for the init of this machine.

    Example: sudo hercules service install
    """
    from bot.cli import place

    settings = settings_of(ctx, port=port)
    record = place.read(settings)
    port = settings.port or (record.port if record else 8088)
    words = start_words(settings, port)
    if not has_systemd():
        click.echo(line_for_init(words))
        return
    if os.geteuid() != 0:
        say_error(
            "Installing a systemd unit needs root.", f"Run: sudo {' '.join(map(shlex.quote, sys.argv))}"
        )
        sys.exit(1)
    owner = owner_of(settings)
    UNIT.write_text(unit(owner, words))
    if owner == "root":
        AGENT_UNIT.unlink(missing_ok=True)
    else:
        AGENT_UNIT.write_text(agent_unit(settings))
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT.name)
    click.echo(f"Hercules starts with this machine from now on ({UNIT}).")
    if record is not None and record.pid:
        click.echo(
            "It runs from a terminal at the moment: end that with Ctrl-C, then: systemctl start hercules"
        )
    else:
        _systemctl("start", UNIT.name)
        click.echo("It is started. For a sign-in link: hercules user link")


@service.command()
@data_option
def remove() -> None:
    """Remove the systemd unit. Data and containers stay.

    Example: sudo hercules service remove
    """
    if not has_systemd():
        click.echo("No systemd runs here. Remove the line that you added to the init of this machine.")
        return
    if not UNIT.exists():
        click.echo("No unit is installed.")
        return
    if os.geteuid() != 0:
        say_error("Removing a systemd unit needs root.", f"Run: sudo {' '.join(map(shlex.quote, sys.argv))}")
        sys.exit(1)
    _systemctl("disable", "--now", UNIT.name)
    if AGENT_UNIT.exists():
        _systemctl("stop", AGENT_UNIT.name)
    UNIT.unlink()
    AGENT_UNIT.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    click.echo("Hercules no longer starts with this machine. Its data and your containers stay.")


def has_systemd() -> bool:
    """Say whether systemd is the service manager here."""
    return Path("/run/systemd/system").is_dir()


def start_words(settings: Settings, port: int) -> list[str]:
    """The command that starts Hercules, with absolute paths."""
    program = [sys.executable, "-m", "bot"]
    return [*program, "up", "--data", str(settings.data), "--port", str(port), "--no-link"]


def owner_of(settings: Settings) -> str:
    """The user that the data directory belongs to: Hercules runs as that one."""
    return pwd.getpwuid(settings.data.stat().st_uid if settings.data.exists() else os.geteuid()).pw_name


def unit(owner: str, words: list[str]) -> str:
    """The systemd unit. Ending it ends store, bot and agent in order; containers go on.

    Where the owner is not root, the agent is a unit of its own: a service has no terminal for sudo to ask on.
    """
    elsewhere = owner != "root"
    wants = "network-online.target docker.service"
    return f"""\
[Unit]
Description=Hercules
Documentation=file://{DOCS}
After=network-online.target docker.service
Wants={f"{wants} {AGENT_UNIT.name}" if elsewhere else wants}

[Service]
Type=exec
User={owner}
ExecStart={shlex.join([*words, "--agent-elsewhere"] if elsewhere else words)}
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def agent_unit(settings: Settings) -> str:
    """The unit of the agent, which has to be root. It is started and stopped with Hercules."""
    from bot.cli.supervisor import agent_words

    return f"""\
[Unit]
Description=Hercules agent
Documentation=file://{DOCS}
After={UNIT.name} docker.service
PartOf={UNIT.name}

[Service]
Type=exec
ExecStart={shlex.join(agent_words(settings))}
KillMode=mixed
TimeoutStopSec=60
Restart=always
RestartSec=2
UMask=0077
"""


def line_for_init(words: list[str]) -> str:
    """What to do where no systemd runs."""
    command = shlex.join(words)
    if Path("/sbin/openrc-run").exists():
        return f"OpenRC: put this into an executable /etc/local.d/hercules.start:\n{command} &"
    if Path("/usr/bin/crontab").exists() or Path("/etc/cron.d").is_dir():
        return f"No systemd runs here. With cron, add this line by `crontab -e`:\n{CRON} {command}"
    return f"No systemd and no cron run here. Have your init run this when the machine starts:\n{command}"


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say_error(f"systemctl {' '.join(words)}: {done.stderr.strip()}", "Look at: journalctl -u hercules")
        sys.exit(1)
