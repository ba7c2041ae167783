"""The author's spelling of a chatflow in Python. docs/authoring.md shows it in use.

A chatflow is a subclass of `Chatflow` whose attributes are states, in the order of declaration; the first
one is where it starts. Everything here only notes what was written, and where; `bot.engine.compile` turns
it into data and finds the mistakes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from bot.engine import form
from bot.engine.form import FactQuery as FactQuery  # what the types of prompts name
from bot.engine.form import OrderForm, Risk
from bot.engine.vocabulary_prompts import Chart as Chart
from bot.engine.vocabulary_prompts import Code as Code
from bot.engine.vocabulary_prompts import Confirm as Confirm
from bot.engine.vocabulary_prompts import DateTime as DateTime
from bot.engine.vocabulary_prompts import Diff as Diff
from bot.engine.vocabulary_prompts import Download as Download
from bot.engine.vocabulary_prompts import Duration as Duration
from bot.engine.vocabulary_prompts import Form as Form
from bot.engine.vocabulary_prompts import Image as Image
from bot.engine.vocabulary_prompts import KeyValues as KeyValues
from bot.engine.vocabulary_prompts import Location as Location
from bot.engine.vocabulary_prompts import Log as Log
from bot.engine.vocabulary_prompts import Number as Number
from bot.engine.vocabulary_prompts import Option as Option
from bot.engine.vocabulary_prompts import Pick as Pick
from bot.engine.vocabulary_prompts import PickMany as PickMany
from bot.engine.vocabulary_prompts import Prompt as Prompt
from bot.engine.vocabulary_prompts import QRCode as QRCode
from bot.engine.vocabulary_prompts import Secret as Secret
from bot.engine.vocabulary_prompts import Table as Table
from bot.engine.vocabulary_prompts import Text as Text
from bot.engine.vocabulary_prompts import Upload as Upload
from bot.engine.vocabulary_prompts import YesNo as YesNo

Hook = Callable[[dict[str, Any]], Any]
Then = str | Mapping[str, str]


class Chatflow:
    """A declared state machine that leads people through a task. Subclass it; never instantiate it."""

    title: ClassVar[str] = ""
    says: ClassVar[Sequence[str]] = ()  # what people type to get here; {name} fills that answer in
    risk: ClassVar[Risk] = "reads"
    name: ClassVar[str] = ""  # default: the class's name, RestartContainer -> restart-container
    description: ClassVar[str] = ""  # default: the class's docstring
    takes: ClassVar[Sequence[str]] = ()  # names that a caller may give besides the asked ones
    # how open sessions of older versions come over: {"from": "*", "states": {old: new}, "drop": [names]}
    migrates: ClassVar[Mapping[str, Any] | Sequence[Mapping[str, Any]]] = ()


class State:
    """A state as written. `line` and `file` are where, for the messages of compile and lint."""

    def __init__(self) -> None:
        frame = sys._getframe(2)
        self.line, self.file = frame.f_lineno, frame.f_code.co_filename

    def compiled(self, name: str, following: str | None) -> form.State:
        """The form of this state, called `name`; `following` is the next one declared."""
        raise NotImplementedError


class Ask(State):
    """Ask a person. `then` is a state, or one per answer; left out: the next one declared.

    `quiet` takes the default without asking; `only_if` (an expression) skips; `check` is a function of
    this file that may refuse an answer with a sentence; `title` is the short name in summaries.
    `deadline_s` after it was asked it goes on by `late`, with None; every `remind_s` the person is reminded.
    """

    def __init__(
        self,
        prompt: Prompt,
        *,
        then: Then | None = None,
        as_: str | None = None,
        title: str = "",
        quiet: bool = False,
        only_if: str | None = None,
        check: Hook | None = None,
        deadline_s: int = 0,
        late: str | None = None,
        remind_s: int = 0,
    ) -> None:
        super().__init__()
        self.deadline_s, self.late, self.remind_s = deadline_s, late, remind_s
        self.prompt, self.then, self.as_, self.title = prompt, then, as_ or prompt.as_, title
        self.quiet, self.only_if, self.check = quiet, only_if, check

    def compiled(self, name: str, following: str | None) -> form.State:
        return form.Ask(
            prompt=self.prompt.compiled,
            as_=self.as_ or name,
            then=_then(self.then, following),
            title=self.title,
            quiet=self.quiet,
            only_if=self.only_if,
            check=_hook_name(self.check),
            deadline_s=self.deadline_s,
            late=self.late,
            remind_s=self.remind_s,
        )


class Say(State):
    """Say something and go on."""

    def __init__(self, text: str, *, then: str | None = None) -> None:
        super().__init__()
        self.text, self.then = text, then

    def compiled(self, name: str, following: str | None) -> form.State:
        return form.Say(text=self.text, then=_one(self.then, following))


class Do(State):
    """Send one order and wait for its result, which gets the name `as_` (left out: the state's name).

    `undo` is the order that takes it back; without `failed` the person gets retry, back and cancel.
    `each` (a list, or a template that gives one) sends one order per target, which is `target` in `order`,
    `undo` and `node`; `at_once` at a time, no more after `stop_after` failures. `no_return`: there is no way
    back once it is done. `recheck` names picks that are looked up again before: {name: sentence if changed}.
    """

    def __init__(
        self,
        order: OrderForm,
        *,
        then: str | None = None,
        failed: str | None = None,
        as_: str | None = None,
        says: str = "",
        undo: OrderForm | None = None,
        node: str = "",
        lifetime_s: int = 3_600,
        each: str | Sequence[Any] = "",
        at_once: int = 0,
        stop_after: int = 0,
        no_return: bool = False,
        recheck: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.order, self.then, self.failed, self.as_ = order, then, failed, as_
        self.says, self.undo, self.node, self.lifetime_s = says, undo, node, lifetime_s
        self.targets = each if isinstance(each, str) else list(each)
        self.at_once, self.stop_after, self.no_return = at_once, stop_after, no_return
        self.recheck = tuple(form.Recheck(name=name, says=words) for name, words in (recheck or {}).items())

    def compiled(self, name: str, following: str | None) -> form.State:
        return form.Do(
            order=self.order,
            as_=self.as_ or name,
            says=self.says,
            then=_one(self.then, following),
            failed=self.failed,
            undo=self.undo,
            node=self.node,
            lifetime_s=self.lifetime_s,
            targets=self.targets,
            at_once=self.at_once,
            stop_after=self.stop_after,
            no_return=self.no_return,
            recheck=self.recheck,
        )


def Case(when: str, then: str) -> form.Case:
    """One way of a `Choose`: when the expression holds, go there."""
    return form.Case(when=when, then=then)


class Choose(State):
    """Branch on data: the first case that holds, else `otherwise` (left out: the next one declared).

    Cases are `Case(when, then)` or one dict {when: then}. With `by`, a function of this file names one of
    `targets`.
    """

    def __init__(
        self,
        *cases: form.Case | Mapping[str, str],
        otherwise: str | None = None,
        by: Hook | None = None,
        targets: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.cases = tuple(
            one
            for case in cases
            for one in ([case] if isinstance(case, form.Case) else [Case(w, t) for w, t in case.items()])
        )
        self.otherwise, self.by, self.targets = otherwise, by, tuple(targets)

    def compiled(self, name: str, following: str | None) -> form.State:
        return form.Choose(
            cases=self.cases,
            otherwise=None if self.by is not None else (self.otherwise or following),
            hook=_hook_name(self.by),
            targets=self.targets,
        )


class Call(State):
    """Run another flow inside this session, with arguments by name; its result gets the name `as_`.

    `alongside=True` begins it as a session of its own and goes on; the name gets {"session": id}, and a
    `Wait(child=name)` waits for its end.
    """

    def __init__(
        self,
        flow: str,
        *,
        then: str | None = None,
        as_: str | None = None,
        alongside: bool = False,
        **args: Any,
    ) -> None:
        super().__init__()
        self.flow, self.then, self.as_, self.args, self.alongside = flow, then, as_, args, alongside

    def compiled(self, name: str, following: str | None) -> form.State:
        return form.Call(
            flow=self.flow,
            args=self.args,
            as_=self.as_ or name,
            then=_one(self.then, following),
            alongside=self.alongside,
        )


def Approval(
    of: str | Sequence[str], *, need: int = 1, asks: str = "", summary: Sequence[str] = ()
) -> form.Approval:
    """Who has to agree: a role, or names or ids of people; `need` of them, never who asked."""
    who = (of,) if isinstance(of, str) else tuple(of)
    return form.Approval(of=who, need=need, asks=asks, summary=tuple(summary))


class Wait(State):
    """Wait for one thing.

    A time: `for_s` seconds (a number or an expression), `until` a time of day "HH:MM", or `at` a date or
    moment ("2026-12-24 03:00"), in `zone`; with `now=False` nobody can go on sooner. Or an `event` from
    outside, whose data has `fields` ({name: "text" | "number" | "yes-no" | "any"}); an `approval`
    (`Approval(…)`); or the session that a `Call(alongside=True)` began: `child=` its name. These may have
    `timeout_s` and go on by `timed_out`; a refused approval goes on by `refused`. What came gets the name
    `as_` (left out: the state's name).
    """

    def __init__(
        self,
        *,
        for_s: Any = None,
        until: str | None = None,
        at: str | None = None,
        zone: str = "",
        now: bool = True,
        event: str = "",
        fields: Mapping[str, form.FieldKind] | None = None,
        approval: form.Approval | None = None,
        child: str = "",
        as_: str | None = None,
        timeout_s: Any = None,
        timed_out: str | None = None,
        refused: str | None = None,
        says: str = "",
        then: str | None = None,
    ) -> None:
        super().__init__()
        self.then, self._as = then, as_
        self._gives = bool(event or child or approval is not None)
        self._fields: dict[str, Any] = {
            "for_s": for_s,
            "until": until,
            "at": at,
            "zone": zone,
            "now": now,
            "event": event,
            "fields": dict(fields or {}),
            "approval": approval,
            "child": child,
            "timeout_s": timeout_s,
            "timed_out": timed_out,
            "refused": refused,
            "says": says,
        }

    def compiled(self, name: str, following: str | None) -> form.State:
        as_ = (self._as or name) if self._gives else self._as
        return form.Wait(as_=as_, then=_one(self.then, following), **self._fields)


class End(State):
    """The end, with a last message. `offers` are buttons (label, flow, {name: value}) that open others."""

    def __init__(
        self,
        text: str,
        *,
        outcome: Literal["done", "failed", "unchanged"] = "done",
        result: Any = None,
        offers: Sequence[tuple[str, str, Mapping[str, Any]]] = (),
    ) -> None:
        super().__init__()
        self.text, self.outcome, self.result, self.offers = text, outcome, result, offers

    def compiled(self, name: str, following: str | None) -> form.State:
        return form.End(
            text=self.text,
            outcome=self.outcome,
            result=self.result,
            offers=tuple((label, flow, dict(answers)) for label, flow, answers in self.offers),
        )


def _then(then: Then | None, following: str | None) -> str | dict[str, str]:
    return dict(then) if isinstance(then, Mapping) else _one(then, following)


def _one(then: str | None, following: str | None) -> str:
    return then or following or ""  # "" is refused by bot.engine.checks, with file and line


def _hook_name(hook: Hook | None) -> str | None:
    return None if hook is None else str(getattr(hook, "__qualname__", hook))
