"""Only what the operator alone can write is loaded (attack W-17)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.plugins import files, limits
from tests.plugins.lab import HELLO, Books, names, only


async def test_a_file_that_everybody_can_write_is_not_loaded(books: Books) -> None:
    books.write("hello.py", HELLO).chmod(0o666)
    book = await books.open()
    assert names(book) == []
    assert "written by everybody" in only(book).says


async def test_a_folder_that_everybody_can_write_to_is_not_loaded_from(books: Books) -> None:
    books.write("hello.py", HELLO)
    books.plugins.chmod(0o777)
    book = await books.open()
    assert "The folder can be written by everybody" in only(book).says
    books.plugins.chmod(0o755)
    await book.reload()
    assert names(book) == ["hello"]


async def test_a_file_of_another_account_is_not_loaded(books: Books) -> None:
    os.chown(books.write("hello.py", HELLO), 12345, 12345)
    book = await books.open()
    assert names(book) == []
    assert "uid 12345" in only(book).says


async def test_a_good_file_that_becomes_anybodys_is_dropped(books: Books) -> None:
    path = books.write("hello.py", HELLO)
    book = await books.open()
    version = book.current("hello").version
    path.chmod(0o666)
    await book.reload()
    assert names(book) == []
    assert book.by_version(version).version == version  # sessions that run on it go on


async def test_a_link_may_lead_within_its_folder_only(books: Books, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(HELLO)
    (books.plugins / "out.py").symlink_to(outside)
    (books.plugins / "up.py").symlink_to("../outside.py")
    (books.plugins / "circle.py").symlink_to("circle.py")
    (books.plugins / "nowhere.py").symlink_to("nothing.py")
    inside = books.plugins / "versions"
    inside.mkdir()
    (inside / "one.py").write_text(HELLO)
    (books.plugins / "hello.py").symlink_to("versions/one.py")
    book = await books.open()
    assert names(book) == ["hello"]
    assert book.current("hello").flow.source == "chatflows.d/hello.py"
    assert {Path(t.file).name for t in book.troubles()} == {"out.py", "up.py", "circle.py", "nowhere.py"}
    assert sum("leads out of the folder" in t.says for t in book.troubles()) == 2


async def test_a_link_through_a_folder_of_another_account_is_not_followed(books: Books) -> None:
    between = books.plugins / "between"
    between.mkdir()
    (between / "one.py").write_text(HELLO)
    (books.plugins / "hello.py").symlink_to("between/one.py")
    os.chown(between, 12345, 12345)
    assert "uid 12345" in only(await books.open()).says


@pytest.mark.parametrize("what", ["folder", "pipe", "large", "latin"])
async def test_what_is_no_plain_text_file_is_not_loaded(books: Books, what: str) -> None:
    path = books.plugins / "odd.py"
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "large":
            path.write_text("#" * (limits.FILE_BYTES + 1))
        case _:
            path.write_bytes(b"x = '\xe4'\n")
    assert only(await books.open()).file == "chatflows.d/odd.py"


def test_the_hash_is_of_the_bytes_that_are_read(books: Books) -> None:
    import hashlib

    source = files.read(books.write("hello.py", "ä\r\n"))
    assert source.sha256 == hashlib.sha256("ä\r\n".encode()).hexdigest()
    assert source.text.encode() == "ä\r\n".encode()
