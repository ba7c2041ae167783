"""A deployment comes to run, changes, stops, starts and goes, on a real engine."""

from __future__ import annotations

from agent.orders import GetFacts, ImportImage
from tests.agent.place import Desk, deployment, revision
from tests.lab import images
from tests.lab.engine import LabEngine


def test_imported_image_is_deployed_and_answers(desk: Desk, engine: LabEngine) -> None:
    archive = images.web("demo:1", "hello from inside", user="1000:1000")
    pin = desk.give(archive)
    imported = desk.do(ImportImage(blob=archive.digest, blob_bytes=len(archive.data), reference="demo:1"))
    assert (imported.outcome, imported.problem) == ("done", None)
    assert imported.facts["suggested_profile"] == "strict"
    assert imported.facts["suggested_port"] == 8080
    order = desk.send(deployment("web", revision(pin, port=20001)))
    result = desk.result(order.id)
    assert (result.outcome, result.problem) == ("done", None)
    assert result.facts["open"] == "http://localhost:20001/"
    assert result.facts["deployment"]["health"] == "healthy"
    assert engine.get(20001)[1] == "hello from inside"
    facts = desk.do(GetFacts(want=("engine", "disk", "containers", "deployments", "images", "ports")))
    assert facts.facts["deployments"][0]["state"] == "running"
    print(facts, desk.progress(order.id), result.ended_ms - result.started_ms)
