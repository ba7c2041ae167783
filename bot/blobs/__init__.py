"""Large bytes named by their SHA-256: image archives, later backups and bundles. Never in the store."""

from bot.blobs.blobs import Blob, Blobs, Usage
from bot.blobs.reader import BlobReader
from bot.blobs.refusals import (
    BadDigest,
    BadUpload,
    BlobTooLarge,
    DiskFull,
    NoSuchBlob,
    NoSuchUpload,
    PieceDiffers,
    QuotaFull,
    UploadIncomplete,
    WrongOffset,
)
from bot.blobs.uploads import Upload

__all__ = [
    "BadDigest",
    "BadUpload",
    "Blob",
    "BlobReader",
    "BlobTooLarge",
    "Blobs",
    "DiskFull",
    "NoSuchBlob",
    "NoSuchUpload",
    "PieceDiffers",
    "QuotaFull",
    "Upload",
    "UploadIncomplete",
    "Usage",
    "WrongOffset",
]
