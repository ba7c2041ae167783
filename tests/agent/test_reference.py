"""Image references are read as the engine reads them, or refused."""

from __future__ import annotations

import pytest

from agent.orders.reference import BadReference, parse


@pytest.mark.parametrize(
    ("text", "registry", "path"),
    [
        ("nginx", "docker.io", "library/nginx"),
        ("nginx:1.27", "docker.io", "library/nginx"),
        ("docker.io/nginx", "docker.io", "library/nginx"),
        ("owner/app", "docker.io", "owner/app"),
        ("ghcr.io/owner/app:2", "ghcr.io", "owner/app"),
        ("127.0.0.1:5000/demo@sha256:" + "a" * 64, "127.0.0.1:5000", "demo"),
        ("localhost/x", "localhost", "x"),
    ],
)
def test_reference_is_read_as_the_engine_reads_it(text: str, registry: str, path: str) -> None:
    assert (parse(text).registry, parse(text).path) == (registry, path)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "Nginx",
            "nginx:",
            "nginx@sha256:abc",
            "nginx\n",
            "-x",
            "--help",
            "../x",
            "a//b",
            "a/../b",
        ),
        *(
            "http://x/y",
            "u@h/x",
            "x:y:z",
            "nginx:1 --all",
            "nginx@sha512:" + "a" * 128,
            "x" * 600,
            "a?b",
            "ä",
        ),
        *("nginx@sha256:" + "A" * 64, "/nginx", "nginx/", "OWNER/app"),
    ],
)
def test_text_that_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(BadReference):
        parse(text)
