"""`.ci/bring` in a small clone of its own: no network, since its locks name nothing.

What a fresh machine gets from Debian and from a package index is shown by cloning there, not here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A build backend that needs nothing but Python, so that `pip install -e` works offline.
BACKEND = """
import base64, hashlib, pathlib, zipfile
NAME = pathlib.Path(__file__).parent.name.replace(" ", "_")
def build_editable(folder, config_settings=None, metadata_directory=None):
    wheel = f"{NAME}-1-py3-none-any.whl"
    info = f"{NAME}-1.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: 1\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{NAME}_was_installed.py": "",
    }
    with zipfile.ZipFile(pathlib.Path(folder) / wheel, "w") as out:
        for path, text in files.items():
            out.writestr(path, text)
        out.writestr(f"{info}/RECORD", "".join(f"{p},,\\n" for p in [*files, f"{info}/RECORD"]))
    return wheel
build_wheel = build_editable
def get_requires_for_build_editable(config_settings=None): return []
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a blank in its name, as people have."""
    clone = tmp_path / "my clone"
    shutil.copytree(ROOT / ".ci", clone / ".ci")
    for folder in (clone, clone / "agent"):
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(PROJECT)
        (folder / "backend.py").write_text(BACKEND)
    (clone / "agent/setup.py").touch()
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (clone / lock).touch()
    return clone


def start(clone: Path, *what: str, path: str | None = None) -> subprocess.Popen[str]:
    env = {"PATH": path or os.environ["PATH"], "PIP_NO_INDEX": "1", "HOME": str(clone)}
    if path is None:  # the Python of the tests counts as the system's
        env["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{env['PATH']}"
    words = [str(clone / ".ci/bring"), *what]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )


def bring(clone: Path, *what: str, path: str | None = None) -> tuple[int, str]:
    """Run it and return its exit code and all that it said."""
    with start(clone, *what, path=path) as process:
        said = "".join(process.communicate(timeout=100))
    return process.returncode, said


def tools(folder: Path, *names: str) -> str:
    """Make a PATH on which there is nothing but these programs."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


def test_first_run_makes_the_environment_and_the_second_says_nothing_and_is_instant(clone: Path) -> None:
    code, said = bring(clone)
    assert (code, "installing the locked Python packages" in said) == (0, True), said
    assert list((clone / ".venv").rglob("my_clone_was_installed.py"))
    took = []
    for _ in range(5):  # instant once is instant: other tests run at the same time
        began = time.monotonic()
        assert bring(clone) == (0, "")
        took.append(time.monotonic() - began)
    assert min(took) < 1, took


def test_two_at_once_make_one_environment(clone: Path) -> None:
    both = [start(clone, "dev"), start(clone, "dev")]
    said = ["".join(p.communicate(timeout=100)) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert sum("installing the locked" in s for s in said) == 1


def test_what_tests_need_serves_running_too_but_not_the_other_way_round(clone: Path) -> None:
    bring(clone, "dev")
    assert bring(clone, "run") == (0, "")
    (clone / ".venv/.brought-dev").unlink()
    assert "requirements-dev.lock" in bring(clone, "dev")[1]


def test_changed_lock_or_project_is_installed_again(clone: Path) -> None:
    bring(clone)
    for changed in ("requirements.lock", "pyproject.toml", "agent/pyproject.toml"):
        with (clone / changed).open("a") as file:
            file.write("\n# changed\n")
        assert "installing" in bring(clone)[1]
        assert bring(clone) == (0, "")


def test_environment_that_broke_half_way_is_made_anew(clone: Path) -> None:
    bring(clone)
    (clone / ".venv/bin/python").unlink()
    assert bring(clone)[0] == 0
    assert (clone / ".venv/bin/python").exists()


def test_moved_clone_gets_an_environment_that_points_to_its_new_place(clone: Path) -> None:
    bring(clone)
    moved = clone.rename(clone.with_name("moved"))
    code, said = bring(moved)
    assert (code, "installing" in said) == (0, True)
    assert "my clone" not in (moved / ".venv/pyvenv.cfg").read_text()


def test_packages_that_cannot_be_had_are_told_in_a_sentence_and_leave_no_stamp(clone: Path) -> None:
    (clone / "requirements.lock").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    code, said = bring(clone)
    assert code == 1
    assert "bring: the Python packages of requirements.lock could not be had" in said
    assert not (clone / ".venv/.brought-run").exists()


def test_what_takes_long_says_how_far_it_is(clone: Path) -> None:
    script = clone / ".ci/bring"
    script.write_text(script.read_text().replace("tell_every_s=4", "tell_every_s=0.1"))
    backend = clone / "backend.py"
    backend.write_text(f"import time; time.sleep(2)\n{backend.read_text()}")
    code, said = bring(clone)
    assert code == 0
    assert re.search(r"^bring:   .+ \(\d+ s\)$", said, re.MULTILINE), said


def test_machine_without_python_is_told_how_to_get_it(clone: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", "env", "bash", "dirname", "cat", "sha256sum", "mkdir", "flock", "id")
    code, said = bring(clone, path=path)
    assert (code, said.count("\n")) == (1, 1)
    assert "needs Python 3.11 or newer" in said


def test_tests_without_root_say_so_in_one_sentence(clone: Path, tmp_path: Path) -> None:
    assert bring(clone, "dev")[0] == 0
    somebody = tmp_path / "bin"
    somebody.mkdir()
    (somebody / "id").write_text("#!/bin/sh\necho 1000\n")
    (somebody / "id").chmod(0o755)
    code, said = bring(clone, "test", path=f"{somebody}:{os.environ['PATH']}")
    assert (code, said.count("\n")) == (1, 1), said
    assert "the tests need root" in said


def test_unknown_word_shows_what_there_is(clone: Path) -> None:
    code, said = bring(clone, "everything")
    assert code == 2
    assert ".ci/bring engine" in said
