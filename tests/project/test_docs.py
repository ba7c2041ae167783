"""Documents promise only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_TEST = re.compile(r"`(tests/[\w/.]+)(?:::(\w+))?`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    gone = [link for link in _LINK.findall(text) if not _known(document.parent, link)]
    assert gone == []


def _known(folder: Path, link: str) -> bool:
    return link.startswith("/") or "{{" in link or (folder / link).exists()


def test_every_test_that_features_name_exists() -> None:
    named = _TEST.findall((ROOT / "docs/features.md").read_text())
    assert len(named) > 50
    gone = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).exists() or (test and f"def {test}(" not in (ROOT / path).read_text())
    ]
    assert gone == []


def test_every_capability_has_a_proof_or_says_that_it_is_missing() -> None:
    rows = [line for line in (ROOT / "docs/features.md").read_text().splitlines() if line.startswith("| ")]
    bare = [r for r in rows if not re.search(r"`|\*missing|\*partial|shown by", r.split("|")[-2])]
    assert bare == []
