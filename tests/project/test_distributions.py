"""Both wheels can be built; the agent's stands alone; the bot's carries its data files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Import agent.cli where nothing can be imported but the standard library, the agent that was installed, what
# it declares, and what that declares in turn. Arguments: the tests' site-packages, the folder with the agent.
IMPORT_ALONE = """
import importlib.metadata, os, re, sys
packages, installed = sys.argv[1:]
sys.path[:0] = [installed, packages]
declared, todo = set(), ["hercules-agent"]
while todo:
    for need in importlib.metadata.requires(todo.pop()) or []:
        name = re.split("[^A-Za-z0-9_.-]", need)[0]
        if "extra ==" not in need and name not in declared:
            try:
                importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another platform
            declared.add(name)
            todo.append(name)
files = [str(f) for name in declared for f in importlib.metadata.files(name) or []]
tops = {f.split("/")[0].split(".")[0] for f in files} | set(sys.stdlib_module_names) | {"agent"}

class OnlyDeclared:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in tops:
            raise ModuleNotFoundError(f"the agent imports {name}, which it does not declare")

sys.meta_path.insert(0, OnlyDeclared())
import agent.cli
print(os.path.realpath(agent.cli.__file__))
"""


def wheel_of(source: Path, into: Path) -> zipfile.ZipFile:
    """Build a wheel from a copy of `source`: setuptools leaves its traces where it builds."""
    copy = into / "source" / source.name
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "tests", "build", "dist")
    shutil.copytree(source, copy, ignore=ignored)
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(into), str(copy)]
    built = subprocess.run(words, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr + built.stdout
    (wheel,) = into.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def agent_wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return wheel_of(ROOT / "agent", tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="module")
def bot_wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return wheel_of(ROOT, tmp_path_factory.mktemp("bot"))


def modules(folder: Path) -> set[str]:
    found = folder.rglob("*.py")
    return {
        str(p.relative_to(folder.parent)) for p in found if "build" not in p.parts and p.name != "setup.py"
    }


def test_agents_wheel_holds_the_whole_agent_and_nothing_else(agent_wheel: zipfile.ZipFile) -> None:
    names = set(agent_wheel.namelist())
    assert modules(ROOT / "agent") <= names
    assert "agent/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"agent", "hercules_agent-0.1.0.dist-info"}


def test_bots_wheel_holds_bot_and_web_with_its_files_and_not_the_agent(bot_wheel: zipfile.ZipFile) -> None:
    names = set(bot_wheel.namelist())
    assert modules(ROOT / "bot") <= names
    files = {p for room in ("templates", "static") for p in (ROOT / "web" / room).rglob("*") if p.is_file()}
    assert {str(p.relative_to(ROOT)) for p in files} <= names
    data = {p for kind in ("*.lua", "*.yaml") for p in (ROOT / "bot").rglob(kind)}
    assert {str(p.relative_to(ROOT)) for p in data} <= names
    assert {name.partition("/")[0] for name in names} == {"bot", "web", "hercules-0.1.0.dist-info"}


def test_agent_installed_alone_runs_with_only_what_it_declares(
    agent_wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    words = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path),
    ]
    subprocess.run([*words, str(agent_wheel.filename)], check=True)
    (metadata,) = tmp_path.glob("hercules_agent-*.dist-info")
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    words = [sys.executable, "-I", "-S", "-c", IMPORT_ALONE, packages, str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(tmp_path.resolve()))
    assert (
        metadata.joinpath("entry_points.txt").read_text().strip().endswith("hercules-agent = agent.cli:main")
    )
