"""Large bytes over HTTP: begin an upload, send pieces at an offset, ask how far it is, read a blob."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.helpers import content_disposition_header

from bot.channels import schemas
from bot.channels.api_routes import Call, Query
from bot.channels.problems import NoSuchPage, WrongFields, problem_of, response_of
from bot.channels.web_clean import cleaned
from bot.channels.web_guard import Speaker, body_of
from bot.channels.web_parts import PARTS, Uploading
from bot.engine.refusals import Spoken

OFFSET = "Upload-Offset"
LENGTH = "Upload-Length"
PIECE = 1024 * 1024  # each is on the disk before the next is read
SHA256 = re.compile(r"^[0-9a-f]{64}$")
UPLOAD_ID = re.compile(r"^[A-Za-z0-9._:-]{1,80}$")


async def begin(request: web.Request, speaker: Speaker) -> web.Response:
    """Begin an upload, or meet the one begun with the same id."""
    body = await body_of(request, schemas.NewBlob)
    speaker.must("blobs.upload")
    upload = await request.app[PARTS].blobs.create(
        person=speaker.id, id=body.id, name=body.name, bytes=body.bytes, sha256=body.sha256 or ""
    )
    return _upload_response(upload, status=201)


async def append(request: web.Request, speaker: Speaker) -> web.Response:
    """Write the body at the offset that the header names; what arrived stays even if the rest does not."""
    speaker.must("blobs.upload")
    sent = request.headers.get(OFFSET, "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 16):
        raise WrongFields([{"field": OFFSET, "says": f"The header {OFFSET} must say where the bytes go."}])
    blobs, upload_id, offset = request.app[PARTS].blobs, _upload_id(request), int(sent)
    try:
        async for piece in _pieces(request):
            offset = await blobs.append(person=speaker.id, id=upload_id, offset=offset, data=piece)
    except Spoken as refused:
        goes_on = getattr(refused, "offset", None)  # a wrong offset says which is right
        headers = {} if goes_on is None else {OFFSET: str(goes_on)}
        return response_of(problem_of(refused), headers)
    upload = await blobs.upload(person=speaker.id, id=upload_id)
    if upload.offset == upload.bytes and not upload.digest:
        await blobs.finish(person=speaker.id, id=upload_id)
        upload = await blobs.upload(person=speaker.id, id=upload_id)
    return _upload_response(upload)


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body in pieces worth a write to the disk each."""
    gathered = bytearray()
    async for chunk in request.content.iter_any():
        gathered += chunk
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def how_far(request: web.Request, speaker: Speaker) -> web.Response:
    """Say how many bytes of an upload have arrived."""
    upload = await request.app[PARTS].blobs.upload(person=speaker.id, id=_upload_id(request))
    return web.Response(headers=_headers(upload))


async def get_blob(request: web.Request, _speaker: Speaker) -> web.StreamResponse:
    """Send a blob, in ranges when asked. It is never shown as a page; `name` is what its file is called."""
    digest, blobs = request.match_info["blob"], request.app[PARTS].blobs
    if not SHA256.fullmatch(digest) or not await blobs.has(digest):
        raise NoSuchPage()
    name = request.query.get("name", "")[:120] or digest
    return web.FileResponse(
        blobs.path_of(digest),
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Disposition": content_disposition_header("attachment", filename=cleaned(name)),
        },
    )


def _upload_id(request: web.Request) -> str:
    upload_id = request.match_info["blob"]
    if not UPLOAD_ID.fullmatch(upload_id):
        raise NoSuchPage()
    return upload_id


def _upload_response(upload: Uploading, status: int = 200) -> web.Response:
    body = schemas.UploadBody(id=upload.id, offset=upload.offset, bytes=upload.bytes, sha256=upload.digest)
    return web.Response(
        body=schemas.encoded(body), status=status, content_type="application/json", headers=_headers(upload)
    )


def _headers(upload: Uploading) -> dict[str, str]:
    return {OFFSET: str(upload.offset), LENGTH: str(upload.bytes)}


BLOB_CALLS: tuple[Call, ...] = (
    Call("POST", "/blobs", "Begin an upload", begin, body=schemas.NewBlob, returns=schemas.UploadBody,
         status=201, errors=(403, 409, 413, 415, 422)),
    Call("PATCH", "/blobs/{blob}", "Send a piece of an upload", append, returns=schemas.UploadBody,
         binary="in", errors=(403, 404, 409, 413, 422)),
    Call("HEAD", "/blobs/{blob}", "How many bytes of an upload have arrived", how_far, errors=(404,)),
    Call("GET", "/blobs/{blob}", "Read a blob by its SHA-256", get_blob, binary="out", errors=(404,),
         query=(Query("name", "string", "What the file is called where it is kept"),)),
)  # fmt: skip
