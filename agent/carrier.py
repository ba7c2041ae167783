"""Carries orders out: from a received envelope to a signed, journaled result that is said until it is kept.

Rule 1: `started` is in the journal before anything is done. Rule 2: a result is in the journal before it is
said; a reading order's result is kept in memory instead. Rule 3: after a crash an unfinished order is
looked at: done, carried out now if it is still valid, or unknown until the engine answers again.
Rule 4: an order that met a vanished engine is settled the same way, never guessed at.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from agent import table
from agent.checks import Accepted, Known, NotTaken, examine
from agent.journal import OrderRow
from agent.link.messages import Message, ProgressSaid, ResultSaid
from agent.node import Done, Node, Stopping, Work, now_ms
from agent.orders import READING, limits, verb_of
from agent.orders.envelope import RESULT_TYPE, OrderBody, decode_order, sign
from agent.orders.results import Outcome, Problem, Progress, Result
from agent.problems import EngineDown, EngineGone, Failed
from agent.saga import Untidy

log = structlog.get_logger()

READ_RESULTS = 200  # results of reading orders that are said again after a reconnect
PURGE_EVERY = 100  # orders between two looks for what may be forgotten


class Pool:
    """Threads for one family of orders. They are daemons: an agent that ends does not wait for them."""

    def __init__(self, name: str, threads: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = threads
        for n in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Have it done by the next free thread."""
        self._jobs.put(job)

    def close(self) -> None:
        """Let the threads end after what was submitted; nobody waits for them."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("carrier.job_broke")
            del job  # with all it holds, while the thread waits for the next


class Carrier:
    """The orders of one node. `tell` hands a message to the link and never waits."""

    def __init__(self, node: Node, tell: Callable[[Message], None]) -> None:
        self.node = node
        self._tell = tell
        self.changed: Callable[[], None] = lambda: None  # called when an order changed what runs
        self._lock = threading.Lock()
        self._under_way: dict[str, Work] = {}
        self._unsettled: dict[str, OrderRow] = {}
        self._read: OrderedDict[str, bytes] = OrderedDict()
        self._since_purge = 0
        self._pools = {family: Pool(family, n) for family, n in table.THREADS.items()}

    def receive(self, envelope: bytes) -> None:
        """An envelope came: carry it out, answer it from the journal, or refuse it."""
        now = now_ms()
        found = examine(envelope, self.node, now)
        if isinstance(found, NotTaken):
            self._refuse(found)
        elif isinstance(found, Known):
            self._answer_again(found.row)
        else:
            self._accept(found, now)

    def resume(self) -> None:
        """At the agent's start: take up what was under way."""
        self.node.journal.purge(now_ms())
        for row in self.node.journal.unfinished():
            log.info("order.resumed", order=row.id, verb=row.verb)
            self._take_up(row)

    def engine_is_back(self) -> None:
        """The engine answers again: settle what nobody could say, tidy what is left."""
        with self._lock:
            rows, self._unsettled = list(self._unsettled.values()), {}
        for row in rows:
            self._take_up(row)

    def linked(self) -> None:
        """The link is up: say again what the bot has not kept."""
        for row in self.node.journal.unkept():
            if row.result is not None:
                self._tell(ResultSaid(order=row.id, envelope=row.result.decode()))
        with self._lock:
            read, works = list(self._read.items()), list(self._under_way.values())
        for order, envelope in read:
            self._tell(ResultSaid(order=order, envelope=envelope.decode()))
        for work in works:
            if work.last:
                self._say(work.last)

    def kept(self, order: str) -> None:
        """The bot has the result of this order."""
        with self._lock:
            if self._read.pop(order, None) is not None:
                return
            self._since_purge += 1
            purge = self._since_purge >= PURGE_EVERY
            if purge:
                self._since_purge = 0
        self.node.journal.keep(order)
        if purge:
            self.node.journal.purge(now_ms())

    def close(self) -> None:
        """Take no more orders; what is under way ends by itself."""
        for pool in self._pools.values():
            pool.close()

    @property
    def busy(self) -> int:
        """How many orders are under way."""
        with self._lock:
            return len(self._under_way)

    # -- receiving

    def _refuse(self, found: NotTaken) -> None:
        log.warning(
            "order.refused", code=found.why.code, order=found.order, verb=found.verb, says=found.why.says
        )
        if found.order:
            result = self._result(
                found.order, found.verb, found.sha256, now_ms(), "refused", problem=found.why.problem()
            )
            self._tell(ResultSaid(order=found.order, envelope=self._signed(result).decode()))

    def _answer_again(self, row: OrderRow) -> None:
        log.info("order.repeated", order=row.id, verb=row.verb, ended=row.result is not None)
        if row.result is not None:
            self._tell(ResultSaid(order=row.id, envelope=row.result.decode()))
            return
        with self._lock:
            work = self._under_way.get(row.id)
        if work and work.last:
            self._say(work.last)

    def _accept(self, found: Accepted, now: int) -> None:
        body, verb = found.body, verb_of(found.body.order)
        if verb in READING:
            with self._lock:
                if body.id in self._under_way:
                    return
                work = self._work(body, now)
            self._submit(work, found.sha256, resumed=False)
            return
        known = self.node.journal.start(
            id=body.id,
            sha256=found.sha256,
            payload=found.payload,
            verb=verb,
            deployment=table.deployment_of(body.order),
            now_ms=now,
            expires_ms=body.expires_ms,
        )
        if known is not None:  # another thread of the link was faster
            self._answer_again(known)
            return
        self.node.point("started")
        log.info("order.started", order=body.id, verb=verb, actor=body.actor)
        with self._lock:
            work = self._work(body, now)
        self._submit(work, found.sha256, resumed=False)

    def _take_up(self, row: OrderRow) -> None:
        body = decode_order(row.payload)
        with self._lock:
            if body.id in self._under_way:
                return
            work = self._work(body, row.started_ms)
        if row.result is not None:
            family = table.verb_for(body.order).family
            self._pools[family].submit(lambda: self._tidy(work, row))
        else:
            self._submit(work, row.sha256, resumed=True)

    def _work(self, body: OrderBody, started_ms: int) -> Work:
        work = Work(self.node, body, started_ms=started_ms, tell=self._say)
        limit = table.DEADLINE_S[table.verb_for(body.order).family]
        # counted from now: an order that is taken up again after a long absence has its whole time
        work.deadline_ms = None if limit is None else now_ms() + limit * 1000
        self._under_way[body.id] = work
        return work

    def _submit(self, work: Work, sha256: str, *, resumed: bool) -> None:
        family = table.verb_for(work.body.order).family
        self._pools[family].submit(lambda: self._carry_out(work, sha256, resumed))

    # -- carrying out

    def _carry_out(self, work: Work, sha256: str, resumed: bool) -> None:
        body, order = work.body, work.body.order
        verb, name = table.verb_for(order), verb_of(order)
        tidy = True
        result: Result | None
        try:
            done = self._once_more(work) if resumed else verb.do(work, order)
            tidy = done.tidy
            result = self._result(
                body.id, name, sha256, work.started_ms, "done", facts=done.facts, already=done.already
            )
        except Stopping:
            log.info("order.interrupted", order=body.id, verb=name)
            return
        except Failed as e:
            tidy = not isinstance(e, Untidy)
            result = self._failure(work, sha256, e, resumed)
        except Exception as e:
            log.exception("order.broke", order=body.id, verb=name)
            e2 = Failed("internal", f"The agent met an error of its own ({type(e).__name__}).")
            result = self._failure(work, sha256, e2, resumed)
        if result is not None:
            self._end(work, result, tidy=tidy)

    def _once_more(self, work: Work) -> Done:
        """Settle an order that was under way when the agent or the engine went away."""
        verb, order = table.verb_for(work.body.order), work.body.order
        if verb.look is not None and (done := verb.look(work, order)):
            return done
        began = bool(self.node.journal.steps(work.body.id))
        if not began and work.body.expires_ms <= now_ms():
            raise Failed(
                "deadline", "The agent was away until the order had expired; it was not carried out."
            )
        return verb.do(work, order)

    def _failure(self, work: Work, sha256: str, e: Failed, resumed: bool) -> Result | None:
        """The result of a failure; None when nobody can say yet whether it was done."""
        body, name = work.body, verb_of(work.body.order)
        vanished = isinstance(e, EngineGone) and (resumed or not isinstance(e, EngineDown))
        if vanished and name not in READING:
            row = self.node.journal.order(body.id)
            if row is not None:
                self._leave_unsettled(work, row, e)
                return None
        outcome: Outcome = "refused" if e.code.startswith("refused.") else "failed"
        if outcome == "refused":
            log.warning("order.refused", code=e.code, order=body.id, verb=name, says=e.says)
        return self._result(body.id, name, sha256, work.started_ms, outcome, problem=e.problem())

    def _leave_unsettled(self, work: Work, row: OrderRow, e: Failed) -> None:
        log.warning("order.unknown", order=row.id, verb=row.verb)
        with self._lock:
            self._under_way.pop(row.id, None)
            self._unsettled[row.id] = row
        result = self._result(row.id, row.verb, row.sha256, row.started_ms, "unknown", problem=e.problem())
        self._tell(ResultSaid(order=row.id, envelope=self._signed(result).decode()))
        if self.node.engine.answers():  # it came back meanwhile, before it was missed
            self.engine_is_back()

    def _end(self, work: Work, result: Result, *, tidy: bool) -> None:
        envelope = self._signed(result)
        if result.verb in READING:
            with self._lock:
                self._read[result.order] = envelope
                while len(self._read) > READ_RESULTS:
                    self._read.popitem(last=False)
        else:
            self.node.point("before end")
            self.node.journal.end(result.order, envelope, tidy=tidy)
            self.node.point("ended")
            self.changed()
        with self._lock:
            self._under_way.pop(result.order, None)
            if not tidy and (row := self.node.journal.order(result.order)):
                self._unsettled[result.order] = row
        log.info(
            "order.ended",
            order=result.order,
            verb=result.verb,
            outcome=result.outcome,
            code=result.problem.code if result.problem else "",
            ms=result.ended_ms - result.started_ms,
        )
        self._tell(ResultSaid(order=result.order, envelope=envelope.decode()))

    def _tidy(self, work: Work, row: OrderRow) -> None:
        """Take away what an order that has its result left behind."""
        tidy = table.verb_for(work.body.order).tidy
        try:
            if tidy is not None:
                tidy(work, work.body.order)
            self.node.journal.tidied(row.id)
            log.info("order.tidied", order=row.id, verb=row.verb)
        except Stopping:
            return
        except Failed as e:
            log.warning("order.untidy", order=row.id, code=e.code, says=e.says)
            with self._lock:
                self._unsettled[row.id] = row
        finally:
            with self._lock:
                self._under_way.pop(row.id, None)

    # -- saying

    def _result(
        self,
        order: str,
        verb: str,
        sha256: str,
        started_ms: int,
        outcome: Outcome,
        *,
        facts: dict[str, Any] | None = None,
        problem: Problem | None = None,
        already: bool = False,
    ) -> Result:
        return Result(
            order=order,
            node=self.node.keys.node,
            verb=verb,
            outcome=outcome,
            facts=facts or {},
            problem=problem,
            started_ms=started_ms,
            ended_ms=now_ms(),
            order_sha256=sha256,
            already=already,
        )

    def _signed(self, result: Result) -> bytes:
        payload = msgspec.json.encode(result)
        if len(payload) > limits.RESULT_BYTES:
            too_long = Problem(code="internal", says="The answer is too long for one result.")
            payload = msgspec.json.encode(
                msgspec.structs.replace(result, outcome="failed", facts={}, problem=too_long)
            )
        return sign(RESULT_TYPE, payload, self.node.keys.signing_key)

    def _say(self, progress: Progress) -> None:
        self._tell(
            ProgressSaid(
                order=progress.order,
                step=progress.step,
                says=progress.says[:500],
                done=progress.done,
                total=progress.total,
                unit=progress.unit,
                at_ms=progress.at_ms,
            )
        )
