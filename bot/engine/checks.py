"""What makes a flow impossible to run. `compile` refuses such a flow; `lint` says more about the others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from agent.orders import limits
from bot.engine import checks_prompts, form, orders, rows, template
from bot.engine import times as times_of
from bot.engine.checks_prompts import default_query as default_query
from bot.engine.checks_prompts import fixed_options as fixed_options
from bot.engine.checks_prompts import options_query as options_query
from bot.engine.filters import Unfit
from bot.engine.syntax import TemplateRefused

STATES_MAX: Final = 500
FLOW_BYTES: Final = 256_000
WAIT_MAX_S: Final = 31 * 24 * 3600
RESERVED: Final = frozenset({"session", "loop", "true", "false", "none", "True", "False", "None", "way_on"})
_FLOW_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
_EVENT = re.compile(r"[A-Za-z0-9._-]{1,60}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_SLOT = re.compile(r"\{([^{}]*)\}")


class Problem(msgspec.Struct, frozen=True):
    """One mistake or piece of advice: where, a stable code, a sentence. `line` is 0 when not known."""

    state: str
    code: str
    says: str
    line: int = 0
    advice: bool = False


def errors(flow: form.Flow) -> list[Problem]:
    """Everything that keeps a flow from running, in the order of its states."""
    found = list(_of_flow(flow))
    for name, state in flow.states.items():
        found += (Problem(name, code, says) for code, says in _of_state(flow, name, state))
    return found


def names_set(state: form.State) -> set[str]:
    """The names that have a value once a state is left."""
    match state:
        case form.Ask(as_=name) | form.Do(as_=name):
            return {name}
        case form.Call(as_=str(name)) | form.Wait(as_=str(name)):
            return {name}
        case _:
            return set()


def all_names(flow: form.Flow) -> set[str]:
    """Every name that some state of the flow may set, and those given to it."""
    return {"session", *flow.takes}.union(*(names_set(state) for state in flow.states.values()))


def expressions(state: form.State) -> Iterator[str]:
    """The sources of a state's expressions (written without braces)."""
    match state:
        case form.Ask(only_if=str(when)):
            yield when
        case form.Choose():
            yield from (case.when for case in state.cases)
        case form.Do(node=str(node)) if node:
            yield node
        case form.Wait():
            yield from (each for each in (wait_s(state.for_s), wait_s(state.timeout_s), state.child) if each)
        case _:
            pass
    if isinstance(state, form.Ask):
        yield from checks_prompts.expressions(state.prompt)


def texts(state: form.State) -> Iterator[Any]:
    """A state's messages and JSON values, in which templates may stand."""
    match state:
        case form.Ask():
            yield state.title
            yield from checks_prompts.texts(state.prompt)
        case form.Say(text=words):
            yield words
        case form.Do():
            yield from (state.says, state.order.args, state.targets)
            yield from (again.says for again in state.recheck)
        case form.Call(args=args):
            yield args
        case form.Wait():
            yield from (state.says, state.until or "", state.at or "", state.zone)
            if state.approval is not None:
                yield from (*state.approval.of, state.approval.asks)
        case form.End():
            yield from (state.text, state.result)
            yield from (part for label, _, answers in state.offers for part in (label, answers))
        case form.Choose():
            pass


def _values(state: form.State) -> Iterator[Any]:
    return checks_prompts.values(state.prompt) if isinstance(state, form.Ask) else iter(())


def wait_s(seconds: Any) -> str:
    """How long to wait, where that is an expression."""
    return seconds if isinstance(seconds, str) else ""


def reads(state: form.State) -> tuple[set[str], set[str]]:
    """The names that a state's templates read: those they need, and all. Raises TemplateRefused.

    A Do's undo is read after the Do is done; see `undo_reads`.
    """
    compiled: list[template.Template | template.Expression] = [
        template.expression(e) for e in expressions(state)
    ]
    compiled += [t for value in (*texts(state), *_values(state)) for t in template.templates_in(value)]
    needs: set[str] = set().union(*(c.needs for c in compiled))
    may: set[str] = set().union(*(c.may for c in compiled))
    if isinstance(state, form.Do) and state.targets:  # `target` is known where the order is made, only there
        whole = [t for value in (state.says, state.targets) for t in template.templates_in(value)]
        kept = set().union(*(c.may for c in whole))
        needs, may = needs - ({"target"} - kept), may - ({"target"} - kept)
    return needs, may


def undo_reads(state: form.State) -> set[str]:
    """The names that a Do's undo reads."""
    if not isinstance(state, form.Do) or state.undo is None:
        return set()
    needs = set().union(*(t.needs for t in template.templates_in(state.undo.args)))
    return needs - {"target"} if state.targets else needs


def _of_flow(flow: form.Flow) -> Iterator[Problem]:
    if not _FLOW_NAME.fullmatch(flow.name):
        yield Problem(
            "", "name", f"The name {flow.name!r} must be of lower-case letters, digits and hyphens."
        )
    if not flow.title.strip():
        yield Problem("", "title", "A chatflow needs a title.")
    if not flow.states:
        yield Problem("", "no-states", "A chatflow needs at least one state.")
        return
    if len(flow.states) > STATES_MAX or len(msgspec.json.encode(flow)) > FLOW_BYTES:
        yield Problem("", "size", f"A chatflow may have {STATES_MAX} states and {FLOW_BYTES} bytes.")
    if flow.start not in flow.states:
        yield Problem("", "no-such-state", f"The first state {flow.start!r} does not exist.")
    if not any(isinstance(state, form.End) for state in flow.states.values()):
        yield Problem("", "no-end", "A chatflow needs an End.")
    known = all_names(flow)
    for name in flow.takes:
        if not name.isidentifier() or name in RESERVED:
            yield Problem("", "name", f"{name!r} in `takes` cannot be a name.")
    for pattern in flow.says:
        for slot in _SLOT.findall(pattern):
            if slot not in known:
                yield Problem(
                    "", "says", f"{pattern!r} fills in {slot!r}, which no Ask asks and `takes` lacks."
                )


def _of_state(flow: form.Flow, name: str, state: form.State) -> Iterator[tuple[str, str]]:
    for own in {name, *names_set(state)}:
        if not own.isidentifier() or own in RESERVED:
            yield "name", f"{own!r} cannot be a name here."
    for row in rows.ways_of(name, state):
        if row.dest == "":
            yield "no-then", "It needs `then`: no state is declared after it."
        elif row.dest not in flow.states:
            near = difflib.get_close_matches(row.dest, flow.states, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            yield "no-such-state", f"It leads to {row.dest!r}, which does not exist.{hint}"
    try:
        needs = reads(state)[1] | undo_reads(state)
    except TemplateRefused as e:
        yield "template", str(e)
    else:
        for unknown in sorted(needs - all_names(flow)):
            near = difflib.get_close_matches(unknown, all_names(flow), 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            yield "undeclared", f"It uses {unknown!r}, which no state sets.{hint}"
    match state:
        case form.Ask():
            yield from _of_ask(flow, state)
        case form.Do():
            yield from _of_do(flow, state)
        case form.Choose():
            yield from _of_choose(state)
        case form.Wait():
            yield from _of_wait(flow, state)
        case form.Call(flow=called) if not _FLOW_NAME.fullmatch(called):
            yield "call", f"{called!r} cannot be the name of a chatflow."
        case _:
            pass


def _of_ask(flow: form.Flow, ask: form.Ask) -> Iterator[tuple[str, str]]:
    prompt = ask.prompt
    if ask.only_if is not None and isinstance(ask.then, dict):
        yield "only-if", "An Ask with `only_if` needs one state as `then`."
    if ask.quiet and getattr(prompt, "default", None) is None:
        yield "quiet", "A quiet Ask needs a default."
    if min(ask.deadline_s, ask.remind_s) < 0 or max(ask.deadline_s, ask.remind_s) > WAIT_MAX_S:
        yield "deadline", f"`deadline_s` and `remind_s` are at most {WAIT_MAX_S} seconds."
    if (ask.deadline_s > 0) != (ask.late is not None):
        yield "deadline", "`deadline_s` and `late` (where it goes on then) belong together."
    if 0 < ask.remind_s < 60:
        yield "deadline", "`remind_s` is at least 60 seconds."
    answers = checks_prompts.branches(prompt)
    yield from checks_prompts.problems(prompt)
    if isinstance(prompt, form.Confirm):
        if not isinstance(ask.then, dict):
            yield "confirm", 'A Confirm needs `then` for both answers: {"yes": …, "no": …}.'
        for name in prompt.summary:
            if name not in all_names(flow):
                yield "undeclared", f"The summary shows {name!r}, which no state sets."
    if isinstance(ask.then, dict):
        if answers is None:
            yield "then", "Only the answers of a Pick with fixed options, a YesNo or a Confirm can branch."
        elif set(ask.then) != answers:
            wrong = ", ".join(repr(a) for a in sorted(set(ask.then) ^ answers))
            yield "then", f"`then` needs one state for each answer and no other: look at {wrong}."


def _of_do(flow: form.Flow, do: form.Do) -> Iterator[tuple[str, str]]:
    for says in orders.problems(do.order):
        yield "order", says
    if do.undo is not None:
        for says in orders.problems(do.undo):
            yield "order", f"Undo: {says}"
    if not 1 <= do.lifetime_s <= limits.ORDER_LIFETIME_S:
        yield "lifetime", f"`lifetime_s` must be between 1 and {limits.ORDER_LIFETIME_S}."
    if do.targets:
        if isinstance(do.targets, str) and not template.is_template(do.targets):
            yield "each", '`each` needs a list, or a template that gives one, like "{{ nodes }}".'
        elif not isinstance(do.targets, str | list | tuple):
            yield "each", "`each` needs a list, or a template that gives one."
    elif do.at_once or do.stop_after:
        yield "each", "`at_once` and `stop_after` need `each`: the list of targets."
    if do.at_once < 0 or do.stop_after < 0:
        yield "each", "`at_once` and `stop_after` must be 0 or more."
    if do.no_return and do.undo is not None:
        yield "no-return", "What has an undo is no point of no return: leave one of them out."
    asked = {state.as_ for state in flow.states.values() if isinstance(state, form.Ask)}
    for again in do.recheck:
        if again.name not in asked | all_names(flow):
            yield "recheck", f"`recheck` names {again.name!r}, which no state sets."


def _of_choose(choose: form.Choose) -> Iterator[tuple[str, str]]:
    if choose.hook is not None:
        if not choose.hook.isidentifier():
            yield "hook", f"{choose.hook!r} must be a plain function of the chatflow's own file."
        if not choose.targets or choose.cases:
            yield "choose", "A Choose `by` a function needs its `targets` and no cases."
    elif not choose.cases:
        yield "choose", "A Choose needs cases, or `by` and `targets`."
    elif choose.otherwise is None:
        yield "choose", "A Choose needs `otherwise`: no state is declared after it."


def _of_wait(flow: form.Flow, wait: form.Wait) -> Iterator[tuple[str, str]]:
    times = [wait.for_s is not None, wait.until is not None, wait.at is not None]
    others = [bool(wait.event), wait.approval is not None, bool(wait.child)]
    if sum((*times, *others)) != 1:
        yield "wait", "A Wait needs one of `for_s`, `until`, `at`, `event`, `approval` and `child`."
    if isinstance(wait.for_s, int | float) and not 0 < wait.for_s <= WAIT_MAX_S:
        yield "wait", f"`for_s` must be above 0 and at most {WAIT_MAX_S} seconds."
    if wait.until is not None and not template.is_template(wait.until) and not _TIME.fullmatch(wait.until):
        yield "wait", '`until` must be a time of day, like "03:00".'
    for check, value in ((times_of.moment, wait.at), (times_of.zone_of, wait.zone)):
        if value and not template.is_template(value):
            try:
                check(value, *([""] if check is times_of.moment else []))
            except Unfit as e:
                yield "wait", f"{str(e)[:1].upper()}{str(e)[1:]}."
    if wait.zone and not any(times[1:]):
        yield "wait", "`zone` belongs to `until` or `at`."
    if (wait.timeout_s is not None) != (wait.timed_out is not None):
        yield "wait", "`timeout_s` and `timed_out` (where it goes on then) belong together."
    if wait.timeout_s is not None and not any(others):
        yield "wait", "A wait for a time has no `timeout_s`."
    if isinstance(wait.timeout_s, int | float) and not 0 < wait.timeout_s <= WAIT_MAX_S:
        yield "wait", f"`timeout_s` must be above 0 and at most {WAIT_MAX_S} seconds."
    if wait.fields and not wait.event:
        yield "wait", "`fields` belong to an `event`."
    if wait.event and not _EVENT.fullmatch(wait.event):
        yield "wait", "The name of an event has 1 to 60 letters, digits, dots, hyphens and underscores."
    if wait.child and not any(
        isinstance(state, form.Call) and state.alongside and state.as_ == wait.child
        for state in flow.states.values()
    ):
        yield "wait", f"`child` names {wait.child!r}, and no Call alongside gets that name."
    if wait.approval is None:
        if wait.refused is not None:
            yield "wait", "`refused` belongs to an `approval`."
        return
    if wait.refused is None:
        yield "wait", "A Wait for approval needs `refused`: where it goes on when somebody says no."
    if not wait.approval.of or wait.approval.need < 1:
        yield "wait", "An approval needs people or roles to ask, and at least 1 of them."
    for name in wait.approval.summary:
        if name not in all_names(flow):
            yield "undeclared", f"The approval shows {name!r}, which no state sets."
