"""Every command: help with an example, nothing that is only promised; service units and sudo as said."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bot.cli import COMMANDS, main, place
from bot.cli.service import agent_unit, line_for_init, start_words, unit
from bot.cli.supervisor import MayNotSudo, NeedsRoot, Supervisor, ssh_hint
from bot.settings import Settings

OPERATORS = (Path(__file__).parents[2] / "docs/operators.md").read_text()


def _all() -> Iterator[tuple[str, click.Command]]:
    for name, (module, attribute, _) in COMMANDS.items():
        command: click.Command = getattr(importlib.import_module(f"bot.cli.{module}"), attribute)
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", one) for below, one in command.commands.items())


@pytest.mark.parametrize(("name", "command"), list(_all()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_command_says_what_it_does_with_an_example(name: str, command: click.Command) -> None:
    shown = CliRunner().invoke(main, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert "hercules" in shown.output


@pytest.mark.parametrize("name", [name for name, one in _all() if not isinstance(one, click.Group)])
def test_every_command_is_in_the_operators_guide(name: str) -> None:
    assert f"`hercules {name}`" in OPERATORS


def test_an_unknown_command_is_wrong_use() -> None:
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


def test_the_service_unit_ends_in_order_and_starts_after_the_engine(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    text = unit("root", start_words(settings, 8088))
    assert "After=network-online.target docker.service" in text
    assert "KillMode=mixed" in text  # SIGTERM to the supervisor only: it ends the others in order
    assert f"--data {tmp_path} --port 8088 --no-link\n" in text
    assert "hercules-agent" not in text


def test_where_hercules_is_not_root_its_agent_is_a_unit_of_its_own(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    text, agent = unit("sam", start_words(settings, 8088)), agent_unit(settings)
    assert "User=sam\n" in text
    assert "--no-link --agent-elsewhere\n" in text
    assert "Wants=network-online.target docker.service hercules-agent.service\n" in text
    assert "User=" not in agent
    assert "PartOf=hercules.service" in agent
    assert f"--data {tmp_path}/agent --bot unix:{tmp_path}/run/agent.sock\n" in agent


def test_without_systemd_the_line_for_another_init_is_said(tmp_path: Path) -> None:
    assert "up --data" in line_for_init(start_words(Settings(data=tmp_path), 8088))


@pytest.mark.parametrize(
    ("connection", "line"),
    [
        ("", ""),
        ("10.0.0.9 50000 10.0.0.5 22", "ssh -L 8090:localhost:8090 ada@10.0.0.5"),
        ("10.0.0.9 50000 10.0.0.5 2222", "ssh -L 8090:localhost:8090 -p 2222 ada@10.0.0.5"),
    ],
)
def test_over_ssh_the_line_for_the_own_machine_is_said(connection: str, line: str) -> None:
    said = ssh_hint(8090, {"SSH_CONNECTION": connection, "USER": "ada"})
    assert line in said
    assert bool(said) == bool(line)


def test_started_by_somebody_else_the_agent_is_started_by_sudo_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    settings = Settings(data=tmp_path / "d")
    place.make_directories(settings)
    one = Supervisor(settings, say=said.append)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\nexit 0\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    words = one._agent_words()
    assert words[0] == "sudo"
    assert words[words.index("env") + 1] == "DOCKER_HOST=unix:///x"
    assert "only root may" in said[0]
    sudo.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(MayNotSudo, match="sudo does nothing for you"):
        one._agent_words()
    sudo.unlink()
    with pytest.raises(NeedsRoot, match="sudo"):
        one._agent_words()
