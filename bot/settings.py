"""What an operator may set: DIR/hercules.toml, then environment `HERCULES_*`, then flags; the later wins.

One struct, one name per setting in all three spellings: `port` in the file, `HERCULES_PORT`, `--port`.
A new setting needs a row in docs/operators.md (tests/cli/test_settings.py fails until it has one).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bot.engine import times
from bot.engine.filters import Unfit
from bot.engine.refusals import Refused

FILE = "hercules.toml"
PREFIX = "HERCULES_"
FIRST_PORT = 8088
SOCKET_PATH_BYTES = 107  # what the kernel takes for a Unix socket; `agent.sock` must fit below DIR/run

Bytes = Annotated[int, Meta(ge=0)]


class BadSettings(Refused):
    """A setting cannot be used; nothing was started."""

    code, http = "bad_settings", 422
    says = "The setting {name} from {source} cannot be used: {why}."
    do = "Correct or remove it, and start again."


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it, with defaults. `data` decides which file is read and is no part of it."""

    data: Path
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None  # None: the next free one from 8088
    redis: str = ""  # URL of the customer's own store; "" is the embedded one
    agent: bool = True  # an agent for this machine
    blob_quota_bytes: Bytes = 32 * 1024**3  # all image archives together
    blob_upload_bytes: Annotated[int, Meta(ge=1)] = 8 * 1024**3  # one upload
    reserve_bytes: Bytes = 256 * 1024**2  # uploads are refused when the disk would have less free than this
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    plugins: bool = True  # load DIR/chatflows.d, and chatflows of installed packages
    time_zone: Annotated[str, Meta(max_length=60)] = ""  # of waits that name none, "Europe/Brussels"; "": UTC
    language_model: str = ""  # "package.module:factory" of one that helps to read what is typed
    plugin_folder: str = ""  # one more folder of chatflows; `make run` names the clone's chatflows.d

    @property
    def keys(self) -> Path:
        """Keys of the installation, 0700."""
        return self.data / "keys"

    @property
    def run(self) -> Path:
        """Sockets and what is known of the running processes."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.data / "logs"

    @property
    def blobs(self) -> Path:
        """Large bytes by their digest."""
        return self.data / "blobs"

    @property
    def plugin_folders(self) -> list[Path]:
        """Where plugins are loaded from."""
        more = [Path(self.plugin_folder)] if self.plugin_folder else []
        return [self.data / "chatflows.d", *more] if self.plugins else []

    @property
    def owner_socket(self) -> Path:
        """Where the command line reaches the running bot, as its owner."""
        return self.run / "bot.sock"

    @property
    def agent_socket(self) -> Path:
        """Where the agent of this machine dials."""
        return self.run / "agent.sock"

    @property
    def agent_data(self) -> Path:
        """The agent's own directory."""
        return self.data / "agent"


NAMES = tuple(f.name for f in msgspec.structs.fields(Settings) if f.name != "data")


def default_data(environment: Mapping[str, str] | None = None) -> Path:
    """Where data is kept when nobody says: `HERCULES_DATA`, else by who we are."""
    environment = os.environ if environment is None else environment
    if given := environment.get(PREFIX + "DATA"):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/hercules")
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(base) / "hercules"


def load(
    data: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings. `flags` with the value None were not given. Raises BadSettings."""
    environment = os.environ if environment is None else environment
    data = (data or default_data(environment)).absolute()
    if len(os.fsencode(data / "run" / "agent.sock")) > SOCKET_PATH_BYTES:
        raise BadSettings(name="data", source="--data", why="its path is too long for the sockets in it")
    settings = Settings(data=data)
    file = data / FILE
    for source, values in (
        (str(file), _of_file(file)),
        ("the environment", _of_environment(environment)),
        ("the command line", {k: v for k, v in (flags or {}).items() if v is not None}),
    ):
        for name, value in values.items():
            settings = _with(settings, name, value, source, from_text=source == "the environment")
    return settings


def _with(settings: Settings, name: str, value: Any, source: str, *, from_text: bool) -> Settings:
    if name not in NAMES:
        raise BadSettings(name=name, source=source, why=f"there is no such setting, only {', '.join(NAMES)}")
    fields = {n: getattr(settings, n) for n in NAMES} | {name: value}
    try:
        # text of the environment is read leniently ("8088", "true"), the file's own types strictly
        if name == "time_zone":
            times.zone_of(str(value))
        return msgspec.convert(
            {**fields, "data": str(settings.data)}, Settings, strict=not from_text, dec_hook=_path
        )
    except (msgspec.ValidationError, Unfit) as e:
        raise BadSettings(name=name, source=source, why=str(e).partition(" - at")[0].rstrip(".")) from e


def _path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


def _of_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadSettings(name=FILE, source=str(file), why=f"it is no TOML ({e})") from e
    except OSError as e:
        raise BadSettings(name=FILE, source=str(file), why=f"it cannot be read ({e.strerror})") from e


def _of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    # only names that are settings: orchestrators put HERCULES_SERVICE_HOST and the like there by themselves
    named = ((name, environment.get(PREFIX + name.upper())) for name in NAMES)
    return {name: value for name, value in named if value}
