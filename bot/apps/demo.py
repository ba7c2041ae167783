"""The welcome demo: an image that Hercules makes itself, so that a first deploy needs no registry.

Rule 1: the same Caddy binary gives the same bytes (names, order, times and owners are fixed), so the image is
named by the digest of its archive and remembered by the binary's version. Rule 2: it runs under the tightest
profile: not root, read-only, no capability, nothing to write. Rule 3: its health check asks the served port
itself. In an image FROM scratch the only program is Caddy, and its one HTTP client is `caddy reload`, which
sends `POST /load` to an address of our choice: here to the site, which answers when it could serve the page.
The layout is that of `docker save`, which every engine since 1.10 loads.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import msgspec

from bot.apps.welcome_page import PAGE, STYLE

RECIPE = 1  # goes up with any change that changes the archive's bytes
NAME = "hercules/welcome"
PORT = 8080
USER = "65532:65532"  # "nonroot" of the distroless images: no account, no home
MADE = "2026-01-01T00:00:00Z"
CHECK_EVERY_S = 2  # a first deploy waits for this once; one check costs about 40 ms of one core
_NS = 1_000_000_000
_END = bytes(2 * tarfile.BLOCKSIZE)

CADDYFILE = f"""\
{{
	admin off
	auto_https off
	persist_config off
	log default {{
		output stderr
		format console {{
			level_format upper
		}}
		level WARN
		exclude tls admin
	}}
	servers {{
		protocols h1
	}}
}}

:{PORT} {{
	root * /site
	log {{
		output stdout
		format filter {{
			wrap console {{
				level_format upper
			}}
			fields {{
				request>headers delete
				request>remote_port delete
				request>client_ip delete
				resp_headers delete
				bytes_read delete
				user_id delete
			}}
		}}
	}}
	header {{
		Content-Security-Policy "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'"
		X-Content-Type-Options nosniff
		Referrer-Policy no-referrer
		Cache-Control no-cache
		-Server
	}}
	@health {{
		method POST
		path /load
		remote_ip 127.0.0.1
	}}
	log_skip @health
	handle @health {{
		@page file /index.html
		respond @page 200
		respond 503
	}}
	handle {{
		file_server
	}}
}}
"""
CHECK = '{"admin":{"disabled":true}}\n'  # a valid configuration: `caddy reload` wants to read one


class DemoImage(msgspec.Struct, frozen=True, kw_only=True):
    """The archive by digest, and what a flow needs to know of the image."""

    reference: str
    blob: str
    blob_bytes: int
    port: int = PORT


def reference(version: str) -> str:
    """Name the image of this Caddy version and recipe, e.g. ``hercules/welcome:2.11.7-1``."""
    return f"{NAME}:{version}-{RECIPE}"


def archive(caddy: bytes, *, version: str, architecture: str) -> Iterator[bytes]:
    """Give the archive piece by piece: `caddy` is the static binary, `architecture` as Docker spells it."""
    layer = list(_layer(caddy))
    diff = hashlib.sha256()
    for piece in layer:
        diff.update(piece)
    config = _json(_config(diff.hexdigest(), version, architecture))
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{diff.hexdigest()}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [reference(version)], "Layers": [layer_name]}]
    yield from _file(config_name, config)
    yield _header(f"{diff.hexdigest()}/", 0, directory=True)
    yield _header(layer_name, sum(map(len, layer)))
    yield from layer  # a whole number of blocks already
    yield from _file("manifest.json", _json(manifest))
    yield _END


def _layer(caddy: bytes) -> Iterator[bytes]:
    yield from _file("caddy", caddy, mode=0o755)
    yield _header("etc/", 0, directory=True)
    yield from _file("etc/Caddyfile", CADDYFILE.encode())
    yield from _file("etc/check.json", CHECK.encode())
    yield _header("site/", 0, directory=True)
    yield from _file("site/index.html", PAGE.encode())
    yield from _file("site/style.css", STYLE.encode())
    yield _END


def _config(diff: str, version: str, architecture: str) -> dict[str, Any]:
    check = ["CMD", "/caddy", "reload", "--config", "/etc/check.json", "--address", f"127.0.0.1:{PORT}"]
    return {
        "architecture": architecture,
        "os": "linux",
        "created": MADE,
        "config": {
            "User": USER,
            "ExposedPorts": {f"{PORT}/tcp": {}},
            # no writable home anywhere: Caddy is told one that is not there, and needs none
            "Env": [
                "PATH=/",
                "HOME=/no-home",
                "XDG_DATA_HOME=/no-home",
                "XDG_CONFIG_HOME=/no-home",
                "GOMAXPROCS=2",
            ],
            "Entrypoint": ["/caddy"],
            "Cmd": ["run", "--config", "/etc/Caddyfile", "--adapter", "caddyfile"],
            "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.title": "Hercules welcome demo", "caddy.version": version},
            "Healthcheck": {
                "Test": check,
                "Interval": CHECK_EVERY_S * _NS,
                "Timeout": 5 * _NS,
                "StartPeriod": 10 * _NS,
                "StartInterval": _NS // 2,  # engines before 25 do not know it
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
        "history": [{"created": MADE, "created_by": "hercules: welcome demo"}],
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _file(name: str, data: bytes, *, mode: int = 0o644) -> Iterator[bytes]:
    yield _header(name, len(data), mode=mode)
    yield data
    if rest := -len(data) % tarfile.BLOCKSIZE:
        yield bytes(rest)


def _header(name: str, size: int, *, mode: int = 0o644, directory: bool = False) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o755 if directory else mode
    info.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    return info.tobuf(tarfile.USTAR_FORMAT)
