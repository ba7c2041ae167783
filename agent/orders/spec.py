"""What runs: a sealed revision of a deployment, and how the agent judges that it came up.

A revision is immutable and complete: deploy, upgrade, rollback and restore are the same order with
another revision. It holds only what the person chose; the image's own defaults are never copied in
(lessons.md, row 10). Thin for now: one service, one part, one node; `parts` grows later.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.orders import limits

Name = Annotated[str, Meta(pattern=limits.exact(limits.NAME_PATTERN))]
Digest = Annotated[str, Meta(pattern=limits.exact(limits.DIGEST_PATTERN))]
Sha256 = Annotated[str, Meta(pattern=limits.exact(limits.SHA256_PATTERN))]
Profile = Literal["strict", "standard", "legacy"]
Exposure = Literal["local", "lan"]
Protocol = Literal["tcp", "udp"]
Port = Annotated[int, Meta(ge=1, le=65535)]
EnvName = Annotated[str, Meta(pattern=limits.exact(limits.ENV_NAME_PATTERN))]


class SealedValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A secret, sealed (libsodium sealed box, base64) before its answer was acknowledged.

    `for_node` opens only with the X25519 key of `node`; `for_recovery` only with the installation's
    recovery key, whose private half is kept outside the bot.
    """

    node: str
    for_node: Annotated[str, Meta(max_length=16_384)]
    for_recovery: Annotated[str, Meta(max_length=16_384)]


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One setting of the service: an environment variable, or a file under /run/secrets.

    Exactly one of `value` and `sealed` is set. A sealed one is delivered as the file
    `/run/secrets/<name>` under `strict`, and as an environment value (plus file) under `standard`
    and `legacy`.
    """

    name: EnvName
    value: Annotated[str, Meta(max_length=limits.ENV_VALUE_BYTES)] | None = None
    sealed: SealedValue | None = None


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A port of the container opened on the node. An exposure, never an address."""

    container_port: Port
    node_port: Port
    protocol: Protocol = "tcp"
    exposure: Exposure = "local"


class VolumeMount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named volume of the deployment at an absolute path of the container."""

    volume: Name
    target: Annotated[str, Meta(min_length=2, max_length=255)]
    read_only: bool = False


class ImagePin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which image, exactly. Either a registry's digest or an imported archive's blob.

    `reference` is for reading ("nginx:1.27"); what is fetched is `repository@digest`, or the blob
    `blob` of `blob_bytes` bytes. A tag is never acted on.
    """

    reference: Annotated[str, Meta(min_length=1, max_length=limits.REFERENCE_BYTES)]
    repository: Annotated[str, Meta(max_length=255)] | None = None
    digest: Digest | None = None
    blob: Sha256 | None = None
    blob_bytes: Annotated[int, Meta(ge=1, le=limits.BLOB_BYTES)] | None = None


class Revision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sealed revision. `number` only goes up within its deployment."""

    number: Annotated[int, Meta(ge=1)]
    part: Name = "main"
    image: ImagePin
    profile: Profile = "standard"
    memory_mib: Annotated[int, Meta(ge=limits.MEMORY_MIN_MIB, le=limits.MEMORY_MAX_MIB)] = 256
    settings: Annotated[tuple[Setting, ...], Meta(max_length=limits.SETTINGS_MAX)] = ()
    ports: Annotated[tuple[Published, ...], Meta(max_length=limits.PORTS_MAX)] = ()
    volumes: Annotated[tuple[VolumeMount, ...], Meta(max_length=limits.VOLUMES_MAX)] = ()
    user: Annotated[str, Meta(pattern=limits.exact(r"^[1-9][0-9]{0,9}:[0-9]{1,10}$"))] | None = None


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the agent judges that a revision came up.

    `auto`: the image's own health check where it declares one, else a TCP connect to each published
    TCP port, else "still running after `settle_s` seconds". `http`: GET `path` on the first published
    port answers below 500. Judged healthy after `passes` passes in a row.
    """

    kind: Literal["auto", "http", "tcp", "running"] = "auto"
    path: Annotated[str, Meta(pattern=limits.exact(r"^/[A-Za-z0-9._~/-]{0,200}$"))] = "/"
    within_s: Annotated[int, Meta(ge=1, le=3600)] = 60
    passes: Annotated[int, Meta(ge=1, le=10)] = 2
    settle_s: Annotated[int, Meta(ge=0, le=600)] = 3
