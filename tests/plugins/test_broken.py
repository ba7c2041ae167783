"""Eighty kinds of broken plugin in one folder: each told with file, line and remedy, and nobody else notices.

All are loaded by one bot at once, beside flows that are well; meanwhile somebody answers questions.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.engine import Ask, Chatflow, End, Text
from bot.plugins import limits
from bot.plugins.book import FlowBook, Trouble
from tests.engine.play import Play
from tests.plugins.lab import HELLO, Memory
from tests.plugins.test_loading import HELLO_YAML

PEOPLE_WAIT_S = 1.0  # how late the loop may be, at the median: generous, the machine of the tests is busy


class Kind(NamedTuple):
    """A broken file: its text (or what makes it), the line that is named, and words of the message."""

    text: str | bytes | Callable[[Path], None]
    line: int
    says: tuple[str, ...]


def flow(states: str, head: str = "from bot.engine import *\n") -> str:
    """A chatflow with these states; they begin in line 4, after a head of one line."""
    return (
        head
        + 'class Bad(Chatflow):\n    title = "Bad"\n'
        + "".join(f"    {line}\n" for line in states.split("\n"))
    )


END = 'done = End("Done.")'
PYTHON = {
    "syntax": Kind("x = 1\nclass Bad(:\n", 2, ("not Python", "Look at that line")),
    "tabs and spaces": Kind("if True:\n        x = 1\n\ty = 2\n", 3, ("not Python", "inconsistent")),
    "an open bracket": Kind("x = (1,\n", 1, ("never closed",)),
    "a NUL": Kind("x = 1\x00\n", 0, ("null bytes",)),
    "nothing": Kind("", 0, ("no chatflow in it", "class Name(Chatflow)")),
    "an exception": Kind("x = 1\nraise RuntimeError('boom')\n", 2, ("boom", "mend that line")),
    "an exception that cannot be said": Kind(
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E\n", 3, ("E.", "mend that line")
    ),
    "a package that is not there": Kind("import nothing_of_that_name\n", 1, ("Install that package",)),
    "a word that is not there": Kind("from bot.engine import Aks\n", 1, ("Aks", "spelled")),
    "an unknown argument": Kind(flow(f'a = Ask(Text("?", lenght=3))\n{END}'), 4, ("lenght", "spells its")),
    "a wrong type": Kind(flow(f"a = Ask(Text(5))\n{END}"), 4, ("'a'", "Expected `str`, got `int`")),
    "a wrong risk": Kind(flow(f'risk = "huge"\n{END}'), 0, ("huge", "risk")),
    "no then": Kind(flow('a = Say("Hi.")'), 4, ("needs `then`",)),
    "a then that is not there": Kind(flow(f'a = Say("Hi.", then="dnoe")\n{END}'), 4, ("mean 'done'?",)),
    "no end": Kind(flow('a = Say("Hi.", then="a")'), 0, ("needs an End",)),
    "no title": Kind(flow(END).replace('"Bad"', '""'), 0, ("needs a title",)),
    "a name that nothing sets": Kind(flow('done = End("{{ who }}")'), 4, ("'who', which no state sets",)),
    "a template bomb": Kind(flow("done = End(\"{{ 'x' * 500000000 }}\")"), 4, ("not permitted",)),
    "an unknown order": Kind(flow(f"a = Do(orders.RestartTraget())\n{END}"), 4, ("mean RestartTarget?",)),
    "an unknown fact": Kind(flow(f"a = Ask(Pick('?', options=facts.contaners()))\n{END}"), 4, ("contaners",)),
    "a lambda": Kind(flow(f'a = Ask(Text("?"), check=lambda names: "")\n{END}'), 4, ("plain function",)),
    "a call of nothing": Kind(flow(f'a = Call("nothing")\n{END}'), 4, ("no such chatflow", "Load that one")),
    "a name of the engine": Kind(flow(f'says = Say("Hi.")\n{END}'), 4, ("choose another name",)),
    "a hundred chatflows": Kind(
        "from bot.engine import *\nfor n in range(100):\n"
        "    globals()[f'F{n}'] = type(f'F{n}', (Chatflow,), {'title': 'x', 'done': End('x')})\n",
        0, ("100 chatflows", "several files"),
    ),
    "a loop without end": Kind("x = 1\nwhile True:\n    pass\n", 0, ("not done within", "never ends")),
    "a sleep": Kind("import time\ntime.sleep(3600)\n", 0, ("not done within", "never ends")),
    "a recursion without end": Kind("def f():\n    f()\nf()\n", 2, ("RecursionError", "without end")),
    "a gigabyte": Kind("x = bytearray(2**30)\n", 1, ("more memory than the 256 MiB", "ask for less")),
    "a list that grows": Kind("x = []\nwhile True:\n    x += [0] * 10**6\n", 3, ("more memory",)),
    "a fork bomb": Kind("import os\nwhile True:\n    os.fork()\n", 3, ("starts no processes", "an order")),
    "a shell": Kind("import os\nos.system('true')\n", 2, ("starts no processes",)),
    "a subprocess": Kind("import subprocess\nsubprocess.run(['true'])\n", 2, ("starts no processes",)),
    "a signal to the bot": Kind("import os\nos.kill(os.getppid(), 0)\n", 2, ("sends no signals",)),
    "threads without end": Kind(
        "import threading as t\nimport time\nwhile True:\n"
        "    t.Thread(target=time.sleep, args=(99,), daemon=True).start()\n",
        4, ("can't start new thread", "mend that line"),
    ),
    "sys.exit": Kind("import sys\nsys.exit(0)\n", 2, ("SystemExit", "Leave out what ends")),
    "os._exit": Kind("import os\nos._exit(3)\n", 0, ("exit code 3", "leave out what ends it")),
    "a kill of itself": Kind("import os\nos.kill(os.getpid(), 9)\n", 0, ("SIGKILL",)),
    "a crash in C": Kind("import ctypes\nctypes.string_at(0)\n", 0, ("SIGSEGV",)),
    "a file that is written": Kind(
        "with open('/tmp/out-of-a-plugin', 'w') as f:\n    f.write('x')\n", 1, ("File too large",)
    ),
    "twenty megabytes": Kind(flow('done = End("x" * 20_000_000)'), 0, ("256000 bytes", "split it")),
    "a hundred megabytes": Kind(flow('done = End("x" * 100_000_000)'), 0, ("memory",)),
    "an answer for the worker": Kind(
        "import os\nfor fd in range(3, 9):\n"
        "    try: os.write(fd, b'\\xff' * 100)\n    except OSError: pass\n",
        0, ("returned more than is taken",),
    ),
    "a closed pipe": Kind("import os, time\nos.closerange(3, 20)\ntime.sleep(99)\n", 0, ("closed the pipe",)),
    "monkey-patched checks": Kind(
        flow(f'a = Say("Hi.", then="nowhere")\n{END}',
             "from bot.engine import *; from bot.engine import checks; checks.errors = lambda flow: []\n"),
        0, ("'nowhere', which does not exist",),
    ),
    "a monkey-patched source": Kind(
        flow(END, "from bot.engine import *; from bot.plugins import builtin; import msgspec; "
             "old = builtin.compiled; builtin.compiled = "
             "lambda *a, **k: msgspec.structs.replace(old(*a, **k), source='bot/x')\n"),
        0, ("truly which file",),
    ),
}  # fmt: skip
YAML = {
    "tabs": Kind(HELLO_YAML.replace("  who", "\twho"), 4, ("tab: use spaces",)),
    "a key twice": Kind(HELLO_YAML.replace("done:", "who:"), 5, ("twice", "remove one")),
    "a bomb": Kind("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", 1, ("`&a` is not taken", "leave it out")),
    "a tag": Kind("title: !!python/object/apply:os.system [ls]\n", 1, ("nothing in this file is run",)),
    "two documents": Kind(HELLO_YAML + "---\n" + HELLO_YAML, 6, ("one chatflow",)),
    "deep nesting": Kind("x:\n " + "[" * 9999, 2, ("levels",)),
    "many words": Kind("x: [" + "a," * 99_999 + "]", 1, ("split it",)),
    "an unknown key": Kind(HELLO_YAML.replace("text:", "txt:"), 4, ("Did you mean `text`?",)),
    "a wrong type": Kind(HELLO_YAML.replace("Who is there?", "[a]"), 4, ("needs text, not a list",)),
    "no then": Kind("title: x\nstates:\n  a: {say: Hi.}\n", 3, ("needs `then`",)),
    "a then that is not there": Kind(HELLO_YAML.replace("who: {", "who: {then: dnoe, "), 4, ("'done'?",)),
    "braces without quotes": Kind(HELLO_YAML.replace('"Hello **{{ who }}**."', "{{ who }}"), 5, ("quotes",)),
    "no states": Kind("title: x\n", 1, ("needs `states`",)),
    "a list": Kind("- title: x\n", 1, ("is a map",)),
    "nothing": Kind("", 0, ("empty", "`title` and `states`")),
    "an invisible character": Kind(HELLO_YAML.replace("Who", "Wh\x1bo"), 4, ("U+001B", "remove it")),
    "a call of nothing": Kind(
        HELLO_YAML.replace("  who", "  a: {call: nothing}\n  who"), 4, ("no such chatflow",)
    ),
    "500 states too many": Kind(
        "title: x\nstates:\n" + "".join(f"  s{n}: {{say: x}}\n" for n in range(600)) + "  z: {end: x}\n",
        0, ("500 states",),
    ),
    "code": Kind(HELLO_YAML.replace("who: {", "who: {check: nice, "), 4, ("only a chatflow in Python",)),
}  # fmt: skip


def _chmod(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_text(HELLO if path.suffix == ".py" else HELLO_YAML)
        path.chmod(mode)

    return make


def _of_another(path: Path) -> None:
    path.write_text(HELLO)
    os.chown(path, 12345, 12345)


def _link_out(path: Path) -> None:
    outside = path.parent.parent / f"outside-{path.name}"
    outside.write_text(HELLO if path.suffix == ".py" else HELLO_YAML)
    path.symlink_to(outside)


FILES = {
    "not_utf8.py": Kind(HELLO.encode().replace(b"Hello **", b"H\xe4llo **"), 0, ("not UTF-8", "line 10")),
    "not_utf8.yaml": Kind(b"title: x\n# \xe4\n", 0, ("not UTF-8", "line 2", "save it")),
    "utf16.yaml": Kind(HELLO_YAML.encode("utf-16"), 0, ("not UTF-8", "save it")),
    "huge.py": Kind("#" * (limits.FILE_BYTES + 1), 0, ("256 KiB", "split it")),
    "huge.yaml": Kind("#" * (limits.FILE_BYTES + 1), 0, ("256 KiB", "split it")),
    "writable.py": Kind(_chmod(0o666), 0, ("written by everybody", "chmod o-w")),
    "writable.yaml": Kind(_chmod(0o646), 0, ("written by everybody", "chmod o-w")),
    "of_another.py": Kind(_of_another, 0, ("uid 12345",)),
    "link_out.py": Kind(_link_out, 0, ("leads out of the folder",)),
    "link_out.yaml": Kind(_link_out, 0, ("leads out of the folder",)),
    "circle.py": Kind(lambda path: path.symlink_to(path.name), 0, ("circles",)),
    "gone.yaml": Kind(lambda path: path.symlink_to("nothing"), 0, ("cannot be read",)),
    "folder.py": Kind(lambda path: path.mkdir(), 0, ("Is a directory",)),
    "pipe.yaml": Kind(lambda path: os.mkfifo(path), 0, ("not a file",)),
}  # fmt: skip


def file_of(name: str, kind: str) -> str:
    return f"{name.replace(' ', '_').replace('.', '_').replace('-', '_').replace(chr(39), '')}.{kind}"


ALL: dict[str, Kind] = {
    **{file_of(name, "py"): kind for name, kind in PYTHON.items()},
    **{file_of(name, "yaml"): kind for name, kind in YAML.items()},
    **FILES,
}


class Greet(Chatflow):
    """Say hello."""

    title = "Greet"
    who = Ask(Text("Who is there?"))
    done = End("Hello {{ who }}.")


class Seen(NamedTuple):
    """What the bot made of it."""

    troubles: dict[str, list[Trouble]]
    flows: list[str]
    lags: list[float]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One bot that meets all of them at once."""
    return asyncio.run(meet(tmp_path_factory.mktemp("broken")))


async def meet(folder: Path) -> Seen:
    """Load them all in a folder of their own, and answer meanwhile."""
    plugins = folder / "chatflows.d"
    plugins.mkdir()
    for name, kind in ALL.items():
        path = plugins / name
        if callable(kind.text):
            kind.text(path)
        elif isinstance(kind.text, bytes):
            path.write_bytes(kind.text)
        else:
            path.write_text(kind.text)
    (plugins / "hello.py").write_text(HELLO)
    (plugins / "bom.yaml").write_text("\ufeff" + HELLO_YAML)
    (plugins / "bom_too.py").write_text("\ufeff" + HELLO.replace("class Hello", "class Mark"))
    book = FlowBook(Memory(), kept=folder / "flows", folders=[plugins], package="bot.chatflows")
    lags: list[float] = []
    answering = asyncio.create_task(_answer(lags))
    before, limits.LOAD_S = limits.LOAD_S, 4.0
    try:
        await book.open(watch=False)
    finally:
        limits.LOAD_S = before
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        await book.close()
    troubles: dict[str, list[Trouble]] = {}
    for trouble in book.troubles():
        troubles.setdefault(trouble.file, []).append(trouble)
    return Seen(troubles, [ready.flow.name for ready in book.flows()], lags)


async def _answer(lags: list[float]) -> None:
    """Somebody answers a question every ten milliseconds; how late each answer is."""
    while True:
        due = time.monotonic() + 0.01
        await asyncio.sleep(0.01)
        assert Play(Greet).answer("Ann").said()[-1] == "Hello Ann."
        lags.append(time.monotonic() - due)


@pytest.mark.parametrize("file", ALL)
def test_it_is_told_with_its_file_line_and_remedy(seen: Seen, file: str) -> None:
    kind = ALL[file]
    troubles = seen.troubles[f"chatflows.d/{file}"]
    told = [(t.line, t.says) for t in troubles]
    assert any(line == kind.line and all(words in says for words in kind.says) for line, says in told), told
    assert all(t.sentence.startswith(f"chatflows.d/{file}:") for t in troubles)
    assert len(troubles) <= limits.TROUBLES_PER_FILE + 1


def test_nobody_else_notices(seen: Seen) -> None:
    assert {"hello", "bom", "mark", "deploy", "running"} <= set(seen.flows)
    assert not {name for name in seen.flows if name.startswith(("bad", "not", "link"))}
    assert set(seen.troubles) == {f"chatflows.d/{file}" for file in ALL}
    assert statistics.median(seen.lags) < PEOPLE_WAIT_S
    assert not Path("/tmp/out-of-a-plugin").read_bytes()
    Path("/tmp/out-of-a-plugin").unlink()


def test_no_process_of_a_plugin_is_left(seen: Seen) -> None:
    own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in own]
    assert not [command for command in commands if b"bot.plugins.worker" in command]
