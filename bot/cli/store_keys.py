"""The store's passwords, in DIR/keys/store.json (0600), and whether this installation's store was made."""

from __future__ import annotations

import secrets
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from bot.fleet.keys import read_private, write_private
from bot.settings import BadSettings, Settings

FILE = "store.json"
Password = Annotated[str, Meta(min_length=32)]


class StoreKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`made`: a store was made for this installation, so an empty one is a lost one."""

    admin: Password
    bot: Password
    made: bool = False


class StoreDoor(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the store: address, and the user that start-up uses."""

    url: str
    admin_user: str
    admin_password: str


def ensure(settings: Settings) -> StoreKeys:
    """Read the passwords; drawn at the first start."""
    path = settings.keys / FILE
    text = read_private(path)
    if text is not None:
        try:
            return msgspec.json.decode(text, type=StoreKeys)
        except msgspec.MsgspecError as e:
            raise BadSettings(name=FILE, source=str(path), why="it is not whole") from e
    drawn = StoreKeys(admin=secrets.token_urlsafe(32), bot=secrets.token_urlsafe(32))
    write_private(path, msgspec.json.encode(drawn))
    return drawn


def note_made(settings: Settings, keys: StoreKeys) -> None:
    """Remember that the store was made."""
    if not keys.made:
        write_private(settings.keys / FILE, msgspec.json.encode(msgspec.structs.replace(keys, made=True)))


def door(settings: Settings, keys: StoreKeys) -> StoreDoor:
    """The embedded store, or the one of the setting `redis` with the user and password in its URL."""
    if not settings.redis:
        from bot.store.embedded import ADMIN_USER  # not at the top: the supervisor reads keys before all else

        url = f"unix://{settings.run / 'valkey.sock'}"
        return StoreDoor(url=url, admin_user=ADMIN_USER, admin_password=keys.admin)
    parts = urlsplit(settings.redis)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise BadSettings(
            name="redis", source="the settings", why="it is no redis://, rediss:// or unix:// URL"
        )
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return StoreDoor(
        url=urlunsplit(plain), admin_user=parts.username or "default", admin_password=parts.password or ""
    )
