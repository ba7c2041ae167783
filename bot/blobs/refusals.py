"""What the blobs refuse. See `bot.engine.refusals` for the families."""

from __future__ import annotations

from bot.engine.refusals import Gone, Refused


class NoSuchBlob(Refused):
    """No blob of that digest."""

    code, http = "no_such_blob", 404
    says = "There is no file with the digest {digest}."
    do = "Upload it."


class NoSuchUpload(Refused):
    """No open upload of that id of this person."""

    code, http = "no_such_upload", 404
    says = "There is no upload {id!r}."
    do = "Begin it again; an upload that nobody touches for a day is dropped."


class BadUpload(Refused):
    """The declaration of an upload makes no sense."""

    code, http = "bad_upload", 422
    says = "This upload cannot begin: {why}."
    do = "Correct it and begin again."


class BlobTooLarge(Refused):
    """Larger than the limit, or than what was declared."""

    code, http = "blob_too_large", 413
    says = "The file has {bytes:,} bytes or more; at most {limit:,} are accepted here."
    do = "Send a smaller one, or raise blobs.max_bytes in hercules.toml."


class QuotaFull(Refused):
    """All blobs together would exceed the quota."""

    code, http = "quota_full", 507
    says = "There is no room for {bytes:,} bytes more: {used:,} of {quota:,} are in use."
    do = "Remove files that are no longer needed, or raise blobs.quota_bytes in hercules.toml."


class DiskFull(Gone):
    """The disk would fall below its reserve."""

    code, http = "disk_full", 507
    says = (
        "The disk has too little space: {free:,} bytes are free, {wanted:,} are needed and {reserve:,} kept."
    )
    do = "Free some space on the disk of {directory}, then go on."


class WrongOffset(Refused):
    """The piece does not begin where the upload stands. `offset` is where it goes on."""

    code, http = "wrong_offset", 409
    says = "This upload goes on at byte {offset}, not at {sent}."
    do = "Send the bytes from {offset} on."

    def __init__(self, *, offset: int, sent: int) -> None:
        self.offset = offset
        super().__init__(offset=offset, sent=sent)


class PieceDiffers(Refused):
    """A range that was received before came again with other bytes."""

    code, http = "piece_differs", 409
    says = "The bytes from {sent} on were received before, and were others."
    do = "Begin the upload again under a new id: the file changed meanwhile."


class UploadIncomplete(Refused):
    """Finished before everything was there."""

    code, http = "upload_incomplete", 409
    says = "Only {offset:,} of {bytes:,} bytes have arrived."
    do = "Send the bytes from {offset} on, then finish."

    def __init__(self, *, offset: int, bytes: int) -> None:
        self.offset = offset
        super().__init__(offset=offset, bytes=bytes)


class BadDigest(Refused):
    """What arrived is not what was declared; it has been dropped."""

    code, http = "bad_digest", 422
    says = "What arrived has the digest {found}, not {declared}; it was dropped."
    do = "Begin the upload again."
