"""States that wait, and migrations, in YAML: the same version as in Python."""

from __future__ import annotations

from bot.engine import Approval, Ask, Call, Chatflow, End, Text, Wait, compile
from bot.plugins import yaml_flow

TEXT = """
name: ship
title: Ship
risk: changes
migrates: {from: "*", states: {old: what}, drop: [x]}
states:
  what: {ask: {text: "What?"}, deadline_s: 3600, late: late, remind_s: 600}
  begun: {call: inner, alongside: true}
  agree:
    wait: {approval: {of: [operator], need: 2, summary: [what]}}
    refused: refused
    timeout_s: 600
    timed_out: late
  built: {wait: {event: build.done, fields: {ok: yes-no}}, timeout_s: 60, timed_out: late}
  night: {wait: {until: "03:00", zone: Europe/Brussels}}
  child: {wait: {child: begun}}
  done: {end: "Done."}
  refused: {end: "No {{ agree.reason }}"}
  late: {end: "Late."}
"""


class Ship(Chatflow):
    title = "Ship"
    risk = "changes"
    migrates = {"from": "*", "states": {"old": "what"}, "drop": ["x"]}  # noqa: RUF012
    what = Ask(Text("What?"), deadline_s=3_600, late="late", remind_s=600)
    begun = Call("inner", alongside=True)
    agree = Wait(
        approval=Approval("operator", need=2, summary=["what"]),
        refused="refused",
        timeout_s=600,
        timed_out="late",
    )
    built = Wait(event="build.done", fields={"ok": "yes-no"}, timeout_s=60, timed_out="late")
    night = Wait(until="03:00", zone="Europe/Brussels")
    child = Wait(child="begun")
    done = End("Done.")
    refused = End("No {{ agree.reason }}")
    late = End("Late.")


def test_both_spellings_of_a_flow_that_waits_are_one_version() -> None:
    read = yaml_flow.read(TEXT, source="chatflows.d/ship.yaml").flow
    written = compile.compile_class(Ship, source="chatflows.d/ship.yaml")
    assert compile.version_of(read) == compile.version_of(written)
