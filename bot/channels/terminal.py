"""A conversation in the terminal: the same chat as on the page, and with every answer given a script.

One loop over the frames of the session. A prompt is answered from what was given beforehand, else by asking
where somebody can be asked, else the conversation ends with a sentence about what is missing. Ends: 0 done or
unchanged, 1 failed or cancelled, 2 wrong use.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from bot.channels.terminal_ask import Asker, File, Move
from bot.channels.terminal_show import Show
from bot.channels.terminal_values import Given, WrongUse, fields_of, value_of
from bot.channels.terminal_wire import Told, Wire, new_id
from bot.engine.ready import WAY_ON

ENDINGS = {"done": 0, "unchanged": 0, "failed": 1, "cancelled": 1}
COVERED = {"reads": "yes", "changes": "yes", "disturbs": "yes", "destroys": "yes_destroy"}


class Conversation:
    """One session, followed until it ends."""

    def __init__(
        self,
        wire: Wire,
        given: Mapping[str, Given],
        *,
        show: Show,
        asker: Asker | None,
        yes: bool = False,
        yes_destroy: bool = False,
    ) -> None:
        self.wire = wire
        self.show = show
        self.session: dict[str, Any] = {}
        self._given = dict(given)
        self._given_forms: frozenset[str] = frozenset()
        self._asker = asker
        self._covers = {"yes": yes or yes_destroy, "yes_destroy": yes_destroy}
        self._failed = ""  # what the last order said, if it failed: then a question is about a failure
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0
        self._ended_early: int | None = None

    async def begin(self, flow: Mapping[str, Any]) -> str:
        """Open a session with what was given; uploads go first. Raises WrongUse, Told."""
        prompts = {p["name"]: p for p in flow["prompts"]}
        forms = self._fields_of(prompts)
        if unknown := sorted(set(self._given) - set(prompts)):
            raise WrongUse(
                what=f"{flow['title']} has no question {', '.join(unknown)}.",
                way=f"It knows: {', '.join(prompts)}.",
            )
        answers: dict[str, Any] = {}
        for name, given in self._given.items():
            kind = prompts[name]["kind"]
            if kind == "upload":
                answers[name] = await self._upload(given)
            else:
                answers[name] = value_of(given, kind, prompts[name]["schema"])
        for name, fields in forms.items():
            answers[name] = fields_of(name, fields, prompts[name]["schema"])
        session = await self.wire.open(flow["name"], answers, id=new_id())
        return str(session["id"])

    def _fields_of(self, prompts: Mapping[str, Any]) -> dict[str, dict[str, Given]]:
        """`--set FORM.FIELD=VALUE`: the fields by their form, taken out of what was given."""
        forms: dict[str, dict[str, Given]] = {}
        for name in list(self._given):
            form, dot, field = name.partition(".")
            if dot and prompts.get(form, {}).get("kind") == "form":
                forms.setdefault(form, {})[field] = self._given.pop(name)
        self._given_forms = frozenset(forms)
        return forms

    async def follow(self, session_id: str) -> int:
        """Go through the session to its end; return the exit code."""
        try:
            async with contextlib.aclosing(self.wire.watch(session_id)) as frames:
                async for frame in frames:
                    if (code := await self._frame(session_id, frame)) is not None:
                        return code
        finally:
            await self._stop_asking()
            self.show.no_progress()
        return 1

    async def _frame(self, session_id: str, frame: Mapping[str, Any]) -> int | None:
        if frame["type"] == "prompt":
            self.show.targets(frame.get("targets", ()))
        match frame["type"]:
            case "entry":
                self._remember(frame)
                self.show.entry(frame)
            case "progress":
                self.show.progress(frame)
            case "prompt" if frame["status"] != "open":
                self.session = await self.wire.session(session_id)
                if self._ended_early is not None:
                    return self._ended_early
                return ENDINGS.get(frame["outcome"], 1)
            case "prompt" | "options" if frame["prompt"] is None:
                await self._stop_asking()
            case "prompt" | "options":
                return await self._open(session_id, frame["prompt"])
            case "reconnecting" if self.show.lively:
                self.show.says("Reconnecting …")
            case _:
                return None
        return None

    def _remember(self, entry: Mapping[str, Any]) -> None:
        if entry["kind"] == "finished":
            self._failed = "" if entry["outcome"] == "done" else entry["outcome"]
        elif entry["kind"] in ("answered", "went_back", "changed"):
            self._failed = ""

    async def _open(self, session_id: str, shown: Mapping[str, Any]) -> int | None:
        if shown["loading"] and shown["kind"] in ("pick", "pick-many", "number"):
            return None  # an options frame follows, at the latest with why it could not be looked up
        if self._asker is not None and not self._is_covered(shown):
            await self._ask_meanwhile(session_id, shown)
            return None
        if shown["seq"] == self._asked:
            return None
        self._asked = shown["seq"]
        if (value := self._ready_answer(shown)) is not None:
            await self.wire.act(session_id, "answers", shown["seq"], value=value)
            return None
        await self._end_early(session_id, shown)
        return None

    def _is_covered(self, shown: Mapping[str, Any]) -> bool:
        return shown["kind"] == "confirm" and self._covers[COVERED.get(shown["risk"], "yes_destroy")]

    def _ready_answer(self, shown: Mapping[str, Any]) -> Any:
        """What a script says where nothing was given: its yes, and with it what the flow proposes."""
        if shown["kind"] == "confirm":
            return True if self._is_covered(shown) else None
        if shown["name"] == WAY_ON and shown["default"] == "wait":
            return "wait"  # nobody knows yet how a step ended: a script waits for it
        if not self._covers["yes"] or self._was_given(shown["name"]) or self._failed or shown["problem"]:
            return None
        return shown["default"]

    def _was_given(self, name: str) -> bool:
        return name in self._given or name in self._given_forms

    async def _end_early(self, session_id: str, shown: Mapping[str, Any]) -> None:
        """Nobody can be asked: say what is missing, and cancel so that nothing half done stays."""
        self.show.prompt(shown)
        if self._failed:
            self._ended_early = 1
        else:
            self._ended_early = 2
            self.show.wrong(self._missing(shown))
        with contextlib.suppress(Told):
            await self.wire.act(session_id, "cancel", shown["seq"])

    def _missing(self, shown: Mapping[str, Any]) -> str:
        name = shown["name"]
        if shown["kind"] == "confirm":
            flag = "--yes" if COVERED.get(shown["risk"]) == "yes" else "--yes-destroy"
            return f"This needs a yes, and nobody is here to give it: add {flag}."
        if self._was_given(name):
            return f"What --set {name} gives does not fit: correct it."
        return f"The question {name} has no answer, and nobody is here to ask: add --set {name}=VALUE."

    async def _ask_meanwhile(self, session_id: str, shown: Mapping[str, Any]) -> None:
        """Ask in a task of its own: somebody else may answer in the browser meanwhile."""
        await self._stop_asking()
        self.show.prompt(shown)
        self._asking = asyncio.create_task(self._ask(session_id, shown))

    async def _ask(self, session_id: str, shown: Mapping[str, Any]) -> None:
        if self._asker is None:
            return
        while True:
            try:
                answer = await self._asker.ask(shown)
            except (EOFError, KeyboardInterrupt):
                answer = Move(action="cancel")
            try:
                await self._send(session_id, shown, answer)
                return
            except Told as e:
                self.show.wrong(f"{e.sentence} {e.next_step}")
                for error in e.errors:
                    self.show.wrong(f"  {error['says']}")
                if e.problem.get("status") == 409:
                    return  # the prompt frame that follows says where the session stands

    async def _send(self, session_id: str, shown: Mapping[str, Any], answer: Any) -> None:
        match answer:
            case Move(action="change", to=to):
                await self.wire.act(session_id, "change", shown["seq"], to=to)
            case Move(action=action):
                await self.wire.act(session_id, action, shown["seq"])
            case File(path=path):
                value = await self.wire.upload(path, progress=self._sent)
                await self.wire.act(session_id, "answers", shown["seq"], value=value)
            case value:
                await self.wire.act(session_id, "answers", shown["seq"], value=value)

    async def _upload(self, given: Given) -> dict[str, Any]:
        answer = await self.wire.upload(given.path, progress=self._sent)
        self.show.no_progress()
        return answer

    def _sent(self, done: int, total: int) -> None:
        self.show.progress({"says": "Sending the file", "done": done, "total": total})

    async def _stop_asking(self) -> None:
        if self._asking is not None and self._asking is not asyncio.current_task():
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking
        self._asking = None
