"""From what an author wrote to the compiled form, and between the form and its bytes.

Rule 1: a flow is runnable or refused here, with every mistake named: flow, state, and file and line when
they are known. Rule 2: the canonical bytes are the only ones; others that mean the same are refused.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from bot.engine import checks, form
from bot.engine.checks import Problem
from bot.engine.refusals import Refused
from bot.engine.vocabulary import Chatflow, State

_OWN_ATTRIBUTES = frozenset(name for name in vars(Chatflow) if not name.startswith("__"))


class FlowRefused(Refused):
    """A chatflow with mistakes in it. `problems` are all of them."""

    code, http = "flow_refused", 422
    says = "{where}{flow}: {summary}"
    do = "Correct the chatflow and load it again."

    def __init__(self, flow: str, problems: list[Problem], file: str = "") -> None:
        self.flow, self.problems, self.file = flow, problems, file
        first = problems[0]
        where = f"{file}:{first.line}: " if file and first.line else f"{file}: " if file else ""
        told = [f"state {p.state!r}: {p.says}" if p.state else p.says for p in problems[:10]]
        if len(problems) > 10:
            told.append(f"… and {len(problems) - 10} more mistakes.")
        super().__init__(where=where, flow=f"chatflow {flow!r}", summary=" ".join(told))


def compile_class(cls: type[Chatflow], *, source: str = "", hooks: str = "") -> form.Flow:
    """The flow that a class declares. `hooks`: SHA-256 of the file its functions stand in.

    Raises FlowRefused.
    """
    written = _states_of(cls)
    own: Any = cls.name  # a State when the author called one so, which is refused below
    name = own if isinstance(own, str) and own else _kebab(cls.__name__)
    file = _file_of(cls, source)
    lines = {state: one.line for state, one in written.items()}
    found = [
        Problem(
            attribute, "name", f"{attribute!r} has a meaning of its own in a chatflow; choose another name."
        )
        for attribute in written
        if attribute in _OWN_ATTRIBUTES
    ]
    found += [Problem(state, "hook", says) for state, one in written.items() for says in _hook_mistakes(one)]
    if found or not written:
        found = found or [Problem("", "no-states", "A chatflow needs at least one state.")]
        raise FlowRefused(name, _with_lines(found, lines), file)
    names = list(written)
    try:
        flow = form.Flow(
            name=name,
            title=cls.title,
            description=cls.description or _first_paragraph(cls.__doc__),
            says=tuple(cls.says),
            risk=cls.risk,
            start=names[0],
            states={
                state: one.compiled(state, following)
                for (state, one), following in zip(written.items(), [*names[1:], None], strict=True)
            },
            takes=tuple(cls.takes),
            migrates=_migrations(cls.migrates),
            hooks=hooks,
            source=source or cls.__module__.replace(".", "/"),
        )
        flow = _canonical(flow)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as e:
        raise FlowRefused(name, _with_lines(_no_data(written, e), lines), file) from e
    return checked(flow, lines=lines, file=file)


def lines_of(cls: type[Chatflow]) -> dict[str, int]:
    """In which line each state of a class was written."""
    return {name: state.line for name, state in _states_of(cls).items()}


def checked(flow: form.Flow, *, lines: Mapping[str, int] | None = None, file: str = "") -> form.Flow:
    """The same flow, if it can run. Raises FlowRefused."""
    if len(encode(flow)) > checks.FLOW_BYTES:  # what is far too large is not even looked at
        says = f"A chatflow may have {checks.FLOW_BYTES} bytes when compiled: split it."
        raise FlowRefused(flow.name, [Problem("", "size", says)], file or flow.source)
    found = checks.errors(flow)
    if found:
        raise FlowRefused(flow.name, _with_lines(found, lines or {}), file or flow.source)
    return flow


def encode(flow: form.Flow) -> bytes:
    """The canonical bytes."""
    return msgspec.json.encode(flow)


def decode(raw: bytes) -> form.Flow:
    """The flow of canonical bytes, checked. Raises FlowRefused."""
    try:
        flow = _canonical(msgspec.json.decode(raw, type=form.Flow))
    except (msgspec.MsgspecError, RecursionError, ValueError) as e:
        raise FlowRefused("?", [Problem("", "form", f"It is not a compiled chatflow: {e}.")]) from e
    if encode(flow) != raw:
        raise FlowRefused(flow.name, [Problem("", "canonical", "Its bytes are not the canonical ones.")])
    return checked(flow)


def from_data(data: Any, *, source: str = "", lines: Mapping[str, int] | None = None) -> form.Flow:
    """The flow of plain data (as YAML gives it). Raises FlowRefused."""
    name = str(data.get("name", "?")) if isinstance(data, dict) else "?"
    try:
        flow = _canonical(msgspec.convert(data, form.Flow))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as e:
        raise FlowRefused(name, [Problem("", "form", f"{e}.")], source) from e
    return checked(flow, lines=lines, file=source)


def version_of(flow: form.Flow) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(encode(flow)).hexdigest()


def pin(flow: form.Flow, versions: Mapping[str, str]) -> form.Flow:
    """The same flow, with the versions of the flows it calls fixed. Raises FlowRefused."""
    missing = [
        Problem(name, "call", f"It calls {state.flow!r}, and there is no such chatflow.")
        for name, state in flow.states.items()
        if isinstance(state, form.Call) and state.flow not in versions
    ]
    if missing:
        raise FlowRefused(flow.name, missing, flow.source)
    states = {
        name: msgspec.structs.replace(state, version=versions[state.flow])
        if isinstance(state, form.Call)
        else state
        for name, state in flow.states.items()
    }
    return msgspec.structs.replace(flow, states=states)


def calls_of(flow: form.Flow) -> set[str]:
    """The names of the flows that a flow calls."""
    return {state.flow for state in flow.states.values() if isinstance(state, form.Call)}


@functools.cache
def _fields(kind: type[form.Base]) -> tuple[Any, ...]:
    return msgspec.structs.fields(kind)  # works out annotations anew each time it is asked


def _canonical(flow: form.Flow) -> form.Flow:
    """The flow as its bytes give it back, with every value that equals its default left out of them."""
    parsed: form.Flow = _plain(msgspec.json.decode(msgspec.json.encode(flow), type=form.Flow))
    return parsed


def _plain(value: Any) -> Any:
    """msgspec leaves out a default only when it is the very same object: put those in."""
    if isinstance(value, form.Base):
        given = {}
        for field in _fields(type(value)):
            own = _plain(getattr(value, field.name))
            same = type(own) is type(field.default) and own == field.default
            given[field.name] = field.default if same else own
        return type(value)(**given)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value


def _migrations(written: Any) -> tuple[form.Migration, ...]:
    rules = [written] if isinstance(written, Mapping) else list(written)
    return tuple(msgspec.convert(dict(rule), form.Migration) for rule in rules)


def _states_of(cls: type[Chatflow]) -> dict[str, State]:
    written: dict[str, State] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, State):
                written[name] = value
    return written


def _hook_mistakes(state: State) -> list[str]:
    hooks = [getattr(state, name, None) for name in ("check", "by")]
    return [
        f"{getattr(hook, '__qualname__', hook)!r} must be a plain function of the chatflow's own file."
        for hook in hooks
        if hook is not None and not (callable(hook) and str(getattr(hook, "__qualname__", "")).isidentifier())
    ]


def _no_data(written: Mapping[str, State], e: Exception) -> list[Problem]:
    """Which states cannot be kept as data: something in them has a wrong type."""
    found = []
    for state, one in written.items():
        try:
            msgspec.json.decode(msgspec.json.encode(one.compiled(state, "next")), type=form.State)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as wrong:
            found.append(Problem(state, "form", f"It cannot be kept as data: {wrong}."))
    return found or [Problem("", "form", f"It cannot be kept as data: {e}.")]


def _with_lines(found: list[Problem], lines: Mapping[str, int]) -> list[Problem]:
    return [msgspec.structs.replace(p, line=p.line or lines.get(p.state, 0)) for p in found]


def _file_of(cls: type[Chatflow], source: str) -> str:
    return source or next((state.file for state in _states_of(cls).values()), "")


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").strip().split("\n\n")[0].split())
