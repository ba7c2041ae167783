"""A book of flows over a folder that the test writes to; what it keeps is kept in memory."""

from __future__ import annotations

from pathlib import Path

from bot.plugins.book import FlowBook, Loaded, Trouble
from bot.plugins.packages import Packages

HELLO = '''"""Say hello."""
from bot.engine import Ask, Chatflow, End, Text


class Hello(Chatflow):
    """Say hello to somebody."""

    title = "Hello"
    who = Ask(Text("Who is there?"))
    done = End("Hello **{{ who }}**.")
'''


class Memory:
    """The port `bot.plugins.book.KeptFlows`."""

    def __init__(self) -> None:
        self.flows: dict[str, bytes] = {}
        self.noted: dict[str, bytes] = {}

    async def keep(self, version: str, raw: bytes) -> None:
        self.flows[version] = raw

    async def kept(self, version: str) -> bytes | None:
        return self.flows.get(version)

    async def versions(self) -> list[str]:
        return list(self.flows)

    async def forget(self, version: str) -> None:
        del self.flows[version]

    async def histories(self) -> dict[str, bytes]:
        return dict(self.noted)

    async def note(self, flow: str, raw: bytes) -> None:
        self.noted[flow] = raw


class Books:
    """Files, and the book that is read from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugins = folder / "chatflows.d"
        self.plugins.mkdir()
        self.memory = Memory()
        self.loaded: list[Loaded] = []
        self.open_ones: list[FlowBook] = []

    def write(self, name: str, text: str) -> Path:
        path = self.plugins / name
        path.write_text(text)
        return path

    async def open(
        self,
        *,
        package: str = "",
        watch: bool = False,
        folders: list[Path] | None = None,
        packages: Packages | None = None,
    ) -> FlowBook:
        book = FlowBook(
            self.memory,
            kept=self.folder / "flows",
            folders=folders or [self.plugins],
            package=package,
            packages=packages,
            on_loaded=self.loaded.append,
        )
        self.open_ones.append(book)
        await book.open(watch=watch)
        return book

    async def close(self) -> None:
        for book in self.open_ones:
            await book.close()


def names(book: FlowBook) -> list[str]:
    return [ready.flow.name for ready in book.flows()]


def only(book: FlowBook) -> Trouble:
    [trouble] = book.troubles()
    return trouble
