"""A flow made ready to run: its `transitions` machine and its templates, compiled once per version."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from transitions import Machine

from bot.engine import checks, compile, form, markdown, prompts, rows, template

_SLOT = re.compile(r"\{(\w+)\}")
WAY_ON: Final = "way_on"  # the name of built-in prompts: retry, back, cancel


class Ready:
    """One version of a flow. Immutable; may be shared by all sessions that run it."""

    def __init__(self, flow: form.Flow) -> None:
        self.flow = flow
        self.version = compile.version_of(flow)
        self.rows = rows.rows_of(flow)
        self.machine = Machine(
            model=None,
            states=list(flow.states),
            transitions=[list(way) for way in sorted({row[:3] for row in self.rows})],
            initial=None,
            auto_transitions=False,
        )
        self._prepared: dict[str, prompts.Prepared] = {}
        self.said_before: dict[tuple[tuple[str, str], ...], str] = {}  # see no_return, which alone fills it
        self.may_not_return = any(
            isinstance(state, form.Call) or (isinstance(state, form.Do) and state.no_return)
            for state in flow.states.values()
        )
        self._used: dict[str, tuple[str, ...]] = {}
        self._known: set[tuple[str, ...]] = set()  # rows that the machine was asked for and has
        self.subject = _subject(flow)
        self.asks: dict[str, str] = {}  # name -> the state that asks it first
        for name, state in flow.states.items():
            if isinstance(state, form.Ask):
                self.asks.setdefault(state.as_, name)
            for words in _messages(state):
                markdown.message(words)

    def prepared(self, state: str, ask: form.Ask) -> prompts.Prepared:
        """The prompt of an Ask, made ready to be shown. Raises Unfit."""
        found = self._prepared.get(state)
        if found is None:
            found = self._prepared[state] = prompts.Prepared(state, ask)
        return found

    def used_by(self, state: str) -> tuple[str, ...]:
        """The names that the order of a Do reads: its arguments, targets and node."""
        found = self._used.get(state)
        if found is None:
            do = self.flow.states[state]
            reads: set[str] = set()
            if isinstance(do, form.Do):
                for part in template.templates_in([do.order.args, do.targets]):
                    reads |= part.may
                if do.node:
                    reads |= template.expression(do.node).may
            found = self._used[state] = tuple(sorted(reads - {"session", "target"}))
        return found

    def may_go(self, trigger: str, source: str, dest: str) -> bool:
        """Whether the machine has that row."""
        return self._has_row(trigger, source, dest)

    def takes_event(self, trigger: str, source: str) -> bool:
        """Whether the event moves that state."""
        return self._has_row(trigger, source)

    def _has_row(self, *row: str) -> bool:
        if row in self._known:
            return True
        if not self.machine.get_transitions(*row):
            return False
        self._known.add(row)
        return True


def _subject(flow: form.Flow) -> str:
    """The name of the answer that says what a session is about: the first slot of its `says` that it asks."""
    asked = {state.as_ for state in flow.states.values() if isinstance(state, form.Ask)}
    slots = (slot for says in flow.says for slot in _SLOT.findall(says))
    return next((slot for slot in slots if slot in asked), "")


class Flows(Protocol):
    """Where the engine gets flows from. Both raise NoSuchFlow."""

    def by_version(self, version: str) -> Ready:
        """That very version, whatever was published since."""

    def current(self, name: str) -> Ready:
        """The version that a new session or call runs."""


def _messages(state: form.State) -> list[str]:
    checked: list[Any] = list(checks.texts(state))
    return [value for value in checked if isinstance(value, str)]
