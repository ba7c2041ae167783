"""Running everything there is for some flows: the author's tests, the walks, the museum, random walks."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from pathlib import Path

import msgspec

from bot.authoring import museum, random_walks, walks
from bot.authoring.library import Library
from bot.authoring.play import scenes, using
from bot.plugins import files


class Tested(msgspec.Struct, frozen=True):
    """One test of an author; `says` is why it failed, "" when it did not."""

    file: str
    name: str
    says: str = ""


def files_of(folder: Path | None) -> list[Path]:
    """The plugin files of a folder."""
    return [place.path for place in files.marks([folder])] if folder is not None else []


def tests_of(path: Path) -> list[Path]:
    """The files with tests of a plugin: `tests/test_NAME.py` and `tests/NAME.yaml` beside it (in a folder of
    its own: all of its `tests`).
    """
    if path.is_dir() or path.stem == "flow":
        own = (path if path.is_dir() else path.parent) / "tests"
        return sorted([*own.glob("test_*.py"), *own.glob("*.yaml")])
    beside = path.parent / "tests"
    named = (beside / f"test_{path.stem}.py", beside / f"{path.stem}.yaml")
    return [one for one in named if one.is_file()]


def author_tests(path: Path, library: Library) -> list[Tested]:
    """Run the tests of a plugin. They are the author's own code, and run here."""
    with using(library):
        return [done for file in tests_of(path) for done in _of_file(path, file)]


def _of_file(path: Path, file: Path) -> list[Tested]:
    done = []
    try:
        if file.suffix == ".py":
            tests = {
                name: value
                for name, value in runpy.run_path(str(file)).items()
                if name.startswith("test") and callable(value)
            }
            checks = [(name.replace("_", " ").removeprefix("test "), test) for name, test in tests.items()]
        else:
            flow = files.place_of(path).flow
            checks = [(scene.name, scene.on(flow)) for scene in scenes(file)]
    except Exception as e:
        return [Tested(str(file), "the file itself", f"{type(e).__name__}: {e}")]
    for name, check in checks:
        try:
            check()
        except AssertionError as e:
            done.append(Tested(str(file), name, str(e) or "An assertion does not hold."))
        except Exception as e:
            done.append(Tested(str(file), name, f"{type(e).__name__}: {e}"))
        else:
            done.append(Tested(str(file), name))
    return done


def walk_all(library: Library, names: Iterable[str]) -> list[walks.Walked]:
    """Walks through each flow."""
    return [walks.walk(library, name) for name in names]


def museum_all(library: Library, names: Iterable[str]) -> list[museum.Shown]:
    """Every scene against each flow."""
    return [shown for name in names for shown in museum.visit(library, name)]


def wander_all(library: Library, names: list[str], count: int, seed: int) -> random_walks.Sum:
    """Random walks over these flows; those that they call come along."""
    flows = [library.current(name).flow for name in names]
    called = [library.current(name).flow for name in library.names() if name not in names]
    return random_walks.wander(flows, count, seed=seed, beside=called)
