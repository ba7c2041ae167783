"""Settings: file, then environment, then flags; what cannot be used is refused with its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.settings import NAMES, BadSettings, Settings, default_data, load


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "hercules.toml").write_text('port = 1001\nlog_level = "debug"\nagent = false\n')
    environment = {"HERCULES_PORT": "1002", "HERCULES_AGENT": "true"}
    assert load(tmp_path, environment={}).port == 1001
    assert load(tmp_path, environment=environment).port == 1002
    settings = load(tmp_path, flags={"port": 1003, "agent": None}, environment=environment)
    assert (settings.port, settings.agent, settings.log_level) == (1003, True, "debug")


@pytest.mark.parametrize(
    ("file", "environment", "named"),
    [
        ("port = 99999", {}, "port"),
        ("port = 'x'", {}, "port"),
        ("prot = 8088", {}, "prot"),
        ("port = ", {}, "hercules.toml"),
        ("", {"HERCULES_PORT": "eighty"}, "port"),
        ("", {"HERCULES_LOG_LEVEL": "loud"}, "log_level"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_source(
    tmp_path: Path, file: str, environment: dict[str, str], named: str
) -> None:
    (tmp_path / "hercules.toml").write_text(file)
    with pytest.raises(BadSettings) as refused:
        load(tmp_path, environment=environment)
    assert named in refused.value.sentence
    assert ("environment" in refused.value.sentence) == bool(environment)


def test_a_path_too_long_for_sockets_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="too long"):
        load(tmp_path / ("d" * 100), environment={})


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"HERCULES_SERVICE_HOST": "10.0.0.1"}) == Settings(data=tmp_path)


def test_the_data_directory_comes_from_the_environment_when_it_is_said_there(tmp_path: Path) -> None:
    assert default_data({"HERCULES_DATA": str(tmp_path)}) == tmp_path


def test_every_setting_is_in_the_operators_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs/operators.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in guide] == []
