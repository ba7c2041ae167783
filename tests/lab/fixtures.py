"""The fixtures of the lab. `engine` and `registry` serve the whole run.

What a test makes on the engine is removed after it; fixtures of modules must not keep containers there. A
part that is missing fails the test with the sentence that brings it; nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import guard, images
from tests.lab.engine import LabEngine, mount_disk
from tests.lab.ground import Ground
from tests.lab.processes import run
from tests.lab.registry import LabRegistry

MakeImage = Callable[..., images.Archive]
MakeDisk = Callable[[int], Path]
MakeEngine = Callable[..., LabEngine]
_KINDS: dict[str, Callable[..., images.Archive]] = {
    "web": images.web,
    "exits": images.exits,
    "unhealthy": images.unhealthy,
    "needs_root": images.needs_root,
    "keeps": images.keeps,
}


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A network namespace and a folder for this run."""
    ground = Ground()
    yield ground
    ground.release()


@pytest.fixture(scope="session")
def engine(ground: Ground) -> Iterator[LabEngine]:
    """A real Docker Engine of this run's own; before each test it runs, without what others made."""
    engine = LabEngine(ground)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def registry(engine: LabEngine) -> Iterator[LabRegistry]:
    """A real registry that the engine reaches as 127.0.0.1:5000."""
    registry = LabRegistry(engine)
    yield registry
    registry.close()


@pytest.fixture(autouse=True)
def leave_engine_clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove what a test that uses the engine left on it."""
    uses_engine = "engine" in request.fixturenames
    shared: LabEngine | None = request.getfixturevalue("engine") if uses_engine else None
    if shared and not shared.answers():
        shared.start()
    images_before = shared.images() if shared else set()
    yield
    if shared:
        shared.clean()
        for name in shared.images() - images_before:
            shared.remove_image(name)


@pytest.fixture(autouse=True)
def leave_machine_alone() -> Iterator[None]:
    """Fail a test that opened the socket of the machine's own engine."""
    guard.touched.clear()
    yield
    assert not guard.touched, "this test opened the socket of the machine's own Docker Engine"


@pytest.fixture
def make_image(engine: LabEngine) -> Iterator[MakeImage]:
    """Load a tiny image: make_image(name, kind="web", **what it takes) -> Archive; gone after the test.

    Kinds are the functions of tests.lab.images: web, exits, unhealthy, needs_root, keeps.
    """
    made: list[str] = []

    def make(name: str, *args: object, kind: str = "web", **kw: object) -> images.Archive:
        archive = _KINDS[kind](name, *args, **kw)
        made.append(engine.load(archive))
        return archive

    yield make
    if made and not engine.answers():
        engine.start()
    engine.clean()
    for name in made:
        engine.remove_image(name)


@pytest.fixture
def save_archive(tmp_path: Path) -> Callable[[images.Archive], Path]:
    """Write an archive to a file, as a person would have it from `docker save`."""

    def save(archive: images.Archive) -> Path:
        path = tmp_path / f"{archive.digest[:12]}.tar"
        path.write_bytes(archive.data)
        return path

    return save


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Mount a small file system: disk(mib) -> its folder. An engine sees it only when started later."""
    mounted: list[Path] = []

    def make(mib: int) -> Path:
        at = tmp_path / f"disk{len(mounted)}"
        at.mkdir()
        mount_disk(at.with_suffix(".ext4"), at, mib=mib)
        mounted.append(at)
        return at

    yield make
    for at in mounted:
        run("umount", "--lazy", at, check=False)


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Start another engine on its own ground: make_engine(data_root=None) -> LabEngine; gone afterwards."""
    grounds: list[Ground] = []
    engines: list[LabEngine] = []

    def make(*, data_root: Path | None = None) -> LabEngine:
        grounds.append(Ground())
        engines.append(LabEngine(grounds[-1], data_root=data_root))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()
    for ground in grounds:
        ground.release()
