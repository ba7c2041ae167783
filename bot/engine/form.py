"""The compiled form of a chatflow: pure data, the one thing that sessions run on.

Both spellings (Python class, YAML) compile to a `Flow`. A flow's version is the SHA-256 of its
canonical bytes (`bot.engine.compile.version_of`). Strings that may hold `{{ … }}` are templates in the
restricted syntax of `bot.engine.template`; a string that is exactly one `{{ expression }}` yields the
expression's value with its type. A new kind of state or prompt also needs a row in docs/engine.md.
"""

# ruff: noqa: RUF012  (structs, whose base is in another module: their defaults are copied)

from __future__ import annotations

from typing import Literal

import msgspec

from bot.engine.form_prompts import Base as Base
from bot.engine.form_prompts import Chart as Chart
from bot.engine.form_prompts import Code as Code
from bot.engine.form_prompts import Confirm as Confirm
from bot.engine.form_prompts import DateTime as DateTime
from bot.engine.form_prompts import Diff as Diff
from bot.engine.form_prompts import Download as Download
from bot.engine.form_prompts import Duration as Duration
from bot.engine.form_prompts import FactQuery as FactQuery
from bot.engine.form_prompts import Field as Field
from bot.engine.form_prompts import FieldPrompt as FieldPrompt
from bot.engine.form_prompts import Form as Form
from bot.engine.form_prompts import Image as Image
from bot.engine.form_prompts import KeyValues as KeyValues
from bot.engine.form_prompts import Location as Location
from bot.engine.form_prompts import Log as Log
from bot.engine.form_prompts import Number as Number
from bot.engine.form_prompts import Option as Option
from bot.engine.form_prompts import Pick as Pick
from bot.engine.form_prompts import PickMany as PickMany
from bot.engine.form_prompts import Prompt as Prompt
from bot.engine.form_prompts import QRCode as QRCode
from bot.engine.form_prompts import Secret as Secret
from bot.engine.form_prompts import Shows as Shows
from bot.engine.form_prompts import Table as Table
from bot.engine.form_prompts import Template as Template
from bot.engine.form_prompts import Text as Text
from bot.engine.form_prompts import Upload as Upload
from bot.engine.form_prompts import Value as Value
from bot.engine.form_prompts import YesNo as YesNo

Risk = Literal["reads", "changes", "disturbs", "destroys"]
StateName = str


class Ask(Base, frozen=True, kw_only=True, tag="ask", tag_field="state"):
    """Ask a person. `then` is a state, or one per answer value (pick, yes-no: "yes"/"no", confirm).

    `quiet`: takes the default without asking; asked only when changed from a summary, or when the
    default is missing or not valid. `only_if`: skipped (name set to None) when the expression is false.
    `check` names a hook of the plugin that may refuse the answer with a sentence. Who has not answered
    `deadline_s` after it was asked is gone on without, to `late`; every `remind_s` they are reminded.
    """

    prompt: Prompt
    as_: str = msgspec.field(name="as")
    then: StateName | dict[str, StateName]
    title: str = ""  # short name in summaries: "Port"
    quiet: bool = False
    only_if: str | None = None
    check: str | None = None
    deadline_s: int = 0
    late: StateName | None = None
    remind_s: int = 0


class Say(Base, frozen=True, kw_only=True, tag="say", tag_field="state"):
    """Say something and go on."""

    text: Template
    then: StateName


class OrderForm(Base, frozen=True, kw_only=True):
    """An order to be: its verb, and its arguments with templates in them."""

    verb: str
    args: dict[str, Value] = {}


class Recheck(Base, frozen=True, kw_only=True):
    """A dated fact to be asked again before a Do: the name that was picked, and what to say if it changed."""

    name: str
    says: Template = ""


class Do(Base, frozen=True, kw_only=True, tag="do", tag_field="state"):
    """Send one order and wait for its result. The name `as` gets {outcome, problem, seconds, **facts}.

    `undo` is the order that takes it back: at cancel, and (in reverse) when a later `Do` fails without a
    `failed` of its own. `node`: expression for the node id; default the session's node.
    `targets` (a list, or a template that gives one) makes it one order per target, which `order`, `undo` and
    `node` read as `target`; `at_once` of them at a time (0 = all), no more after `stop_after` failures
    (0 = never). `as` then gets {outcome, done, failed, left, results}. `no_return`: once it is done, neither
    back nor undo reach before it. `recheck`: see `bot.engine.recheck`.
    """

    order: OrderForm
    as_: str = msgspec.field(name="as")
    says: Template = ""  # shown while it runs
    then: StateName
    failed: StateName | None = None
    undo: OrderForm | None = None
    node: str = ""
    lifetime_s: int = 3_600
    targets: Value = ""
    at_once: int = 0
    stop_after: int = 0
    no_return: bool = False
    recheck: tuple[Recheck, ...] = ()


class Case(Base, frozen=True, kw_only=True):
    """One way of a Choose."""

    when: str  # expression
    then: StateName


class Choose(Base, frozen=True, kw_only=True, tag="choose", tag_field="state"):
    """Branch on data: the first case that holds, else `otherwise`.

    With `hook`, the plugin's function computes the name of one of `targets` instead.
    """

    cases: tuple[Case, ...] = ()
    otherwise: StateName | None = None
    hook: str | None = None
    targets: tuple[StateName, ...] = ()


class Call(Base, frozen=True, kw_only=True, tag="call", tag_field="state"):
    """Run another flow inside this session; its result becomes the name `as`.

    `version` is pinned when the flow is published. `alongside` begins it as a session of its own and goes
    on at once; `as` gets {"session": id}, for a Wait to wait for its end.
    """

    flow: str
    args: dict[str, Value] = {}
    as_: str | None = msgspec.field(name="as", default=None)
    then: StateName
    version: str = ""
    alongside: bool = False


class Approval(Base, frozen=True, kw_only=True):
    """Who has to agree: `of` are roles, names or ids of people; `need` of them, never who asked.

    `asks` is the question that they see, `summary` names what they are shown with it.
    """

    of: tuple[Template, ...]
    need: int = 1
    asks: Template = ""
    summary: tuple[str, ...] = ()


FieldKind = Literal["text", "number", "yes-no", "any"]


class Wait(Base, frozen=True, kw_only=True, tag="wait", tag_field="state"):
    """Wait for one thing: a time, an event from outside, somebody's approval, or a session alongside.

    Times: `for_s` seconds (expression or number), `until` a time of day "HH:MM", `at` a date or moment; in
    `zone` (IANA), left out: that of the session. `now`: the person may go on at once instead.
    `event`: its name; `fields` are what its data must have. `child`: the name that a Call alongside got.
    `as` gets the event's data, the approvals, or the child's result. All but times may have `timeout_s`, then
    it goes on by `timed_out`; who refuses leads to `refused`.
    """

    for_s: Value = None
    until: Template | None = None
    at: Template | None = None
    zone: Template = ""
    now: bool = True
    event: str = ""
    fields: dict[str, FieldKind] = {}
    approval: Approval | None = None
    child: str = ""
    as_: str | None = msgspec.field(name="as", default=None)
    timeout_s: Value = None
    timed_out: StateName | None = None
    refused: StateName | None = None
    says: Template = ""
    then: StateName


class End(Base, frozen=True, kw_only=True, tag="end", tag_field="state"):
    """The end, with a last message. `outcome` decides the exit code of scripts.

    `offers` are buttons that open another flow, filled in: (label, flow, {name: value template}).
    """

    text: Template
    outcome: Literal["done", "failed", "unchanged"] = "done"
    result: Value = None
    offers: tuple[tuple[str, str, dict[str, Value]], ...] = ()


State = Ask | Say | Do | Choose | Call | Wait | End


class Migration(Base, frozen=True, kw_only=True):
    """How open sessions of an older version come over to this one. `from` is a version (or the beginning
    of one), "*" any. `states` says where who stands in an old state goes on; the others stay where they are.
    `drop` are names that are not needed any more.
    """

    from_: str = msgspec.field(name="from", default="*")
    states: dict[StateName, StateName] = {}
    drop: tuple[str, ...] = ()


class Flow(Base, frozen=True, kw_only=True):
    """A compiled chatflow. `start` is the first declared state."""

    form: Literal[1] = 1
    name: str
    title: str
    description: str = ""
    says: tuple[str, ...] = ()
    risk: Risk
    start: StateName
    states: dict[StateName, State]
    takes: tuple[str, ...] = ()  # names that a caller or `answers` may fill besides asked ones
    hooks: str = ""  # SHA-256 of the plugin's hooks file, "" without one
    source: str = ""  # "bot/chatflows/deploy", "chatflows.d/hello.py": for messages to the author
    migrates: tuple[Migration, ...] = ()
