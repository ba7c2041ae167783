"""A real registry (Debian's docker-registry) inside a lab's namespace, on port 5000 and without TLS."""

from __future__ import annotations

import subprocess

from docker.errors import APIError

from tests.lab.engine import LabEngine
from tests.lab.ground import need
from tests.lab.images import Archive
from tests.lab.processes import Proc, wait_until

_CONFIG = """
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder}/registry-data}}
  delete: {{enabled: true}}
http: {{addr: ":5000"}}
"""


class LabRegistry:
    """`address` is how the lab's engine names it, `url` how the test reaches it."""

    address = "127.0.0.1:5000"

    def __init__(self, engine: LabEngine) -> None:
        need({"docker-registry": "docker-registry"})
        self._engine = engine
        ground = engine.ground
        self.url = f"http://{ground.address}:5000"
        config = ground.folder / "registry.yml"
        config.write_text(_CONFIG.format(folder=ground.folder))
        with (ground.folder / "registry.log").open("ab") as log:
            self._popen = subprocess.Popen(
                [*ground.prefix, "docker-registry", "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._proc = Proc.of(self._popen.pid)
        if self._proc:
            ground.keep(self._proc)
        engine.get(5000, "/v2/", within_s=60)

    def publish(self, archive: Archive, name: str) -> tuple[str, str]:
        """Push an archive as `name` ("demo:1"); return its reference and its manifest's digest ("sha256:…").

        The engine keeps neither the reference nor the archive's own name: it has to pull.
        """
        reference = f"{self.address}/{name}"
        client = self._engine.client()
        image = client.images.get(self._engine.load(archive))
        image.tag(reference)
        digest = ""
        for line in client.images.push(reference, stream=True, decode=True):
            if "error" in line:
                raise APIError(str(line["error"]))
            digest = str(line.get("aux", {}).get("Digest", digest))
        for tag in (reference, archive.name):
            self._engine.remove_image(tag)
        return reference, digest

    def close(self) -> None:
        """End the registry."""
        if self._proc:
            self._proc.end(within_s=5)
        wait_until(lambda: self._popen.poll() is not None, 5)
