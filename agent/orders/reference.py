"""Image references: `[registry/]repository[:tag][@sha256:…]`, read strictly.

Rule 1: what is not of the grammar of https://github.com/distribution/reference is refused, not repaired.
Rule 2: no scheme, user, query, `..` or upper-case repository gets through.
Rule 3: "nginx" is docker.io/library/nginx, as the engine reads it.
"""

from __future__ import annotations

import re

import msgspec

from agent.orders import limits

DEFAULT_REGISTRY = "docker.io"
_HOST = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:(?P<registry>{_HOST}(?::[0-9]{{1,5}})?|\[[0-9a-fA-F:]{{2,39}}\](?::[0-9]{{1,5}})?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*))"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


class BadReference(ValueError):
    """The text names no image. Its message is a sentence for the person who typed it."""


class ImageReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference taken apart. `registry` is "docker.io" where none is written."""

    registry: str
    path: str  # below the registry: "library/nginx"
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Registry and path as the engine wants them; docker.io is left out."""
        if self.registry != DEFAULT_REGISTRY:
            return f"{self.registry}/{self.path}"
        return self.path.removeprefix("library/")

    @property
    def named(self) -> str:
        """What to ask a registry for: by digest where there is one, else by tag."""
        return (
            f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag or 'latest'}"
        )


def parse(text: str) -> ImageReference:
    """Read a reference. Raises BadReference."""
    if len(text.encode(errors="replace")) > limits.REFERENCE_BYTES:
        raise BadReference("The image's name is too long.")
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise BadReference("That is no image name; they look like nginx, nginx:1.27 or ghcr.io/owner/app:2.")
    registry, path = found["registry"] or "", found["path"]
    # only what has a dot or a port, or is localhost, is a registry; "owner/app" is on docker.io
    if registry and not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = "", f"{registry}/{path}"
        if not re.fullmatch(rf"{_PART}(?:/{_PART})*", path, re.ASCII):
            raise BadReference("The image's name has to be in lower case.")
    if registry in ("", "index.docker.io", "registry-1.docker.io"):
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    if len(path) > 255:
        raise BadReference("The image's name is too long.")
    return ImageReference(registry=registry, path=path, tag=found["tag"] or "", digest=found["digest"] or "")


def parse_repository(text: str) -> ImageReference:
    """Read a repository: a reference without tag and digest. Raises BadReference."""
    reference = parse(text)
    if reference.tag or reference.digest:
        raise BadReference("A repository has neither tag nor digest.")
    return reference
