"""Images: resolve, pull by digest, import of archives, inspect, remove.

Rule 1: a tag is only ever asked about (`resolve`), never fetched. Rule 2: what was pulled has to carry the
digest that was asked for; containers are created by the engine's id of it. Rule 3: an imported image is
found by a tag of ours that is made from its blob's SHA-256, so a crash after the load loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from agent import archive
from agent.docker_engine import STREAM_S, Absent, problem_in
from agent.docker_request import ImageSeen, check_pin, check_reference, numeric
from agent.node import Done, Node, Work
from agent.orders import ImageFact, ImportImage, InspectImage, PullImage, RemoveImage, ResolveImage
from agent.orders.reference import BadReference, parse, parse_repository
from agent.orders.spec import ImagePin, Profile
from agent.problems import EngineGone, Failed

IMPORTED = "hercules.local/imported"
_RESOLVE_S = 20  # the engine asks the registry meanwhile


def seen(image: dict[str, Any]) -> ImageSeen:
    """The parts of an image's description that decide how it is run."""
    config = image.get("Config") or {}
    return ImageSeen(
        id=str(image["Id"]),
        user=str(config.get("User") or ""),
        volumes=tuple(sorted(config.get("Volumes") or {})),
        ports=tuple(sorted(config.get("ExposedPorts") or {})),
    )


def find(node: Node, pin: ImagePin) -> dict[str, Any] | None:
    """The image that a pin names, as the engine describes it; None when it is not here."""
    if pin.blob is not None:
        known = node.journal.image_of_blob(pin.blob)
        return (node.engine.image(known) if known else None) or node.engine.image(f"{IMPORTED}:{pin.blob}")
    return node.engine.image(_named(pin))


def obtain(work: Work, pin: ImagePin) -> dict[str, Any]:
    """The image that a pin names, fetched unless it is here, and proven. Raises Failed, EngineGone."""
    image = find(work.node, pin)
    if image is None:
        image = _import(work, pin) if pin.blob is not None else _pull(work, pin)
    _prove(work.node, image, pin)
    return image


def resolve(work: Work, order: ResolveImage) -> Done:
    """Ask the registry which digest a reference has now."""
    node = work.node
    check_reference(order.reference, node.file)
    reference = parse(order.reference)
    node.engine.require()
    try:
        with node.engine.calling():
            answer = node.engine.api(_RESOLVE_S).inspect_distribution(reference.named)
    except Absent as e:
        raise Failed("image_not_found", f"The registry has no image {order.reference}.") from e
    except EngineGone as e:
        if not node.engine.answers():
            raise
        raise _unreachable(reference.registry) from e
    except Failed as e:
        raise _for_reference(e, order.reference, reference.registry) from e
    platforms = [
        "/".join(filter(None, (p.get("os"), p.get("architecture"), p.get("variant"))))
        for p in answer.get("Platforms") or []
    ]
    return Done(
        facts={
            "reference": order.reference,
            "repository": reference.repository,
            "digest": str(answer["Descriptor"]["digest"]),
            "platforms": [p for p in platforms if not p.startswith("unknown")],
        }
    )


def pull(work: Work, order: PullImage) -> Done:
    """Get an image from its registry, by digest."""
    return _get(work, order.image)


def import_archive(work: Work, order: ImportImage) -> Done:
    """Load an image archive that the bot holds as a blob."""
    return _get(work, _import_pin(order))


def inspect(work: Work, order: InspectImage) -> Done:
    """Read an image that is on the node."""
    check_pin(order.image, work.node.file)
    work.node.engine.require()
    image = find(work.node, order.image)
    if image is None:
        raise Failed("no_such_target", f"The image {order.image.reference} is not on this machine.")
    return Done(facts=facts(image, order.image))


def remove(work: Work, order: RemoveImage) -> Done:
    """Take an image off the node if nothing uses it. Another name of the same image keeps it."""
    check_pin(order.image, work.node.file)
    work.node.engine.require()
    return Done(already=not take_off(work.node, order.image))


def take_off(node: Node, pin: ImagePin) -> bool:
    """Remove what a pin names; says whether it was there. Raises Failed("in_use")."""
    image = find(node, pin)
    if image is None:
        return False
    name = f"{IMPORTED}:{pin.blob}" if pin.blob is not None else _named(pin)
    try:
        with node.engine.calling():
            node.engine.api(STREAM_S).remove_image(name)
    except Absent:
        return False
    finally:
        if pin.blob is not None and node.engine.answers() and node.engine.image(name) is None:
            node.journal.blob_is_gone(pin.blob)
    return True


def look_pulled(work: Work, order: PullImage) -> Done | None:
    """Whether the image is here."""
    image = find(work.node, order.image)
    return Done(facts=facts(image, order.image)) if image else None


def look_imported(work: Work, order: ImportImage) -> Done | None:
    """Whether the image is here."""
    image = find(work.node, _import_pin(order))
    return Done(facts=facts(image, _import_pin(order))) if image else None


def look_removed(work: Work, order: RemoveImage) -> Done | None:
    """Whether the image is gone."""
    return None if find(work.node, order.image) else Done()


def undo_pull(order: PullImage) -> RemoveImage:
    """Take it off again."""
    return RemoveImage(image=order.image)


def undo_import(order: ImportImage) -> RemoveImage:
    """Take it off again."""
    return RemoveImage(image=_import_pin(order))


def facts(image: dict[str, Any], pin: ImagePin) -> dict[str, Any]:
    """What a result says of an image: an ImageFact with pin, suggested profile and port."""
    config = image.get("Config") or {}
    what = seen(image)
    fact = ImageFact(
        engine_id=what.id,
        reference=pin.reference,
        digest=pin.digest or "",
        bytes=int(image.get("Size") or 0),
        architecture=str(image.get("Architecture") or ""),
        user=what.user[:200],
        ports=_short(what.ports),
        volumes=_short(what.volumes),
        has_health_check=has_health_check(image),
        env_names=_short(sorted({str(e).partition("=")[0] for e in config.get("Env") or []})),
    )
    return {
        **msgspec.to_builtins(fact),
        "pin": msgspec.to_builtins(pin),
        "suggested_profile": _suggested_profile(what),
        "suggested_port": _suggested_port(what),
    }


def _short(words: Iterable[str]) -> tuple[str, ...]:
    """What an image says of itself, cut to what fits a result."""
    return tuple(word[:200] for word in islice(words, 100))


def has_health_check(image: dict[str, Any]) -> bool:
    """Whether the image says how to check its health."""
    test = ((image.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


def _suggested_profile(image: ImageSeen) -> Profile:
    user = numeric(image.user)
    ports = [int(p.partition("/")[0]) for p in image.ports if p.partition("/")[0].isdigit()]
    fits = user is not None and user[0] != 0 and ":" in image.user and all(p >= 1024 for p in ports)
    return "strict" if fits else "standard"


def _suggested_port(image: ImageSeen) -> int | None:
    tcp = [
        int(p.partition("/")[0]) for p in image.ports if p.endswith("/tcp") and p.partition("/")[0].isdigit()
    ]
    return min(tcp, default=None)


def _get(work: Work, pin: ImagePin) -> Done:
    check_pin(pin, work.node.file)
    work.node.engine.require()
    already = find(work.node, pin) is not None
    return Done(facts=facts(obtain(work, pin), pin), already=already)


def _import_pin(order: ImportImage) -> ImagePin:
    return ImagePin(reference=order.reference, blob=order.blob, blob_bytes=order.blob_bytes)


def _named(pin: ImagePin) -> str:
    return f"{parse_repository(pin.repository or '').repository}@{pin.digest}"


def _prove(node: Node, image: dict[str, Any], pin: ImagePin) -> None:
    """Raises Failed unless the image is the one that was asked for and runs on this machine."""
    own = node.engine.architecture()
    if (image.get("Os"), image.get("Architecture")) != ("linux", own):
        raise Failed(
            "wrong_platform",
            f"The image is made for {image.get('Os')}/{image.get('Architecture')}, "
            f"this machine is linux/{own}.",
        )
    if pin.digest is not None and not any(_is(d, pin) for d in image.get("RepoDigests") or []):
        raise Failed("internal", "The image that came has another digest than the one that was asked for.")


def _is(repo_digest: str, pin: ImagePin) -> bool:
    try:
        have, want = parse(repo_digest), parse_repository(pin.repository or "")
    except BadReference:
        return False
    return (have.registry, have.path, have.digest) == (want.registry, want.path, pin.digest)


def _pull(work: Work, pin: ImagePin) -> dict[str, Any]:
    node = work.node
    registry = parse_repository(pin.repository or "").registry
    if node.engine.free_bytes() < node.reserve:
        raise Failed("disk_full", "There is not enough space on this machine for an image.")
    work.say("getting_image", f"Getting the image {pin.reference}.")
    sizes: dict[str, tuple[int, int]] = {}
    try:
        with node.engine.calling():
            for line in node.engine.api(STREAM_S).pull(_named(pin), stream=True, decode=True):
                work.mind()
                if "error" in line:
                    words = str(line["error"])
                    raise problem_in(words) or Failed(
                        "internal", "The image could not be fetched.", evidence=(words,)
                    )
                detail = line.get("progressDetail") or {}
                if line.get("status") == "Downloading" and detail.get("total"):
                    sizes[str(line.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
                    done, total = (sum(column) for column in zip(*sizes.values(), strict=True))
                    work.say("getting_image", f"Getting the image {pin.reference}.", done, total, "bytes")
    except Absent as e:
        raise Failed("image_not_found", f"The registry has no image {pin.reference} any more.") from e
    except EngineGone as e:
        if not node.engine.answers():
            raise
        raise _unreachable(registry) from e
    except Failed as e:
        raise _for_reference(e, pin.reference, registry) from e
    image = find(node, pin)
    if image is None:
        raise Failed("internal", "The engine says that it fetched the image, but does not have it.")
    return image


def _import(work: Work, pin: ImagePin) -> dict[str, Any]:
    node, blob, size = work.node, pin.blob or "", pin.blob_bytes or 0
    # the engine unpacks the archive beside the image before it is one
    space = (node.engine.free_bytes() - node.reserve) // 2
    if space < size:
        raise Failed("disk_full", "There is not enough space on this machine for the image.")
    work.say("getting_image", "Fetching the file.", 0, size, "bytes")

    def came(done: int, total: int) -> None:
        work.say("getting_image", "Fetching the file.", done, total, "bytes")

    file = node.blobs.fetch(blob, size, came, work.mind)
    node.point("blob fetched")
    try:
        image = archive.understand(file, architecture=node.engine.architecture(), limit=space)
        tag = f"{IMPORTED}:{blob}"
        work.say("importing", "Loading the image.", 0, image.unpacked_bytes, "bytes")
        _load(node, _counted(work, archive.stream(image, tag), image.unpacked_bytes))
    except Failed:
        node.blobs.drop(blob)
        raise
    loaded = node.engine.image(tag)
    if loaded is None:
        raise Failed("not_an_image", "The engine took the file, but made no image of it.")
    node.journal.imported(blob, str(loaded["Id"]))
    node.blobs.drop(blob)
    return loaded


def _counted(work: Work, blocks: Iterator[bytes], total: int) -> Iterator[bytes]:
    done = 0
    for block in blocks:
        work.mind()
        yield block
        done += len(block)
        work.say("importing", "Loading the image.", min(done, total), total, "bytes")


def _load(node: Node, blocks: Iterator[bytes]) -> None:
    try:
        with node.engine.calling():
            answer = node.engine.api(STREAM_S).load_image(blocks)
            for line in answer:
                if "error" in line:
                    words = str(line["error"])
                    raise problem_in(words) or Failed(
                        "not_an_image", "The engine could not load the image.", evidence=(words,)
                    )
    except EngineGone as e:
        # an engine that gives up in the middle of the upload closes the connection
        if not node.engine.answers():
            raise
        if node.engine.free_bytes() < node.reserve:
            raise Failed("disk_full", "The disk of this machine is full.") from e
        raise Failed("not_an_image", "The engine could not load the image.") from e


def _unreachable(registry: str) -> Failed:
    return Failed("registry_unreachable", f"The registry {registry} cannot be reached from this machine.")


def _for_reference(e: Failed, reference: str, registry: str) -> Failed:
    """The same problem with the image's name in its sentence."""
    says = {
        "image_not_found": f"The registry has no image {reference}.",
        "registry_denied": f"{registry} does not hand out {reference}: it may not exist, or needs a sign-in.",
        "registry_unreachable": f"The registry {registry} cannot be reached from this machine.",
    }
    return Failed(e.code, says.get(e.code, e.says), evidence=e.evidence)
