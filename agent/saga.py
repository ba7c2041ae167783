"""`deployment.apply` as a journaled saga: a revision comes to run, or nothing of it remains.

    planned -> image -> network -> volumes -> created -> (stopping_old) -> started -> committed -> finished
       any of them before committed -> rolling_back -> rolled_back

Rule 1: a step is journaled before its effect, and every effect may be repeated: after a crash the saga
starts again at `planned` and finds what it made by label. Rule 2: the old container is stopped only when
the new one is created, and removed only after the commit; whatever fails before starts it again.
Rule 3: `committed` is one transaction that also changes what should run; after it nothing is rolled back.
Rule 4: what was there before the order (`planned` says what) is never removed by a roll-back.
Rule 5: an engine that goes away is waited for; one that stays away ends the order as failed, and what was
begun is taken away as soon as it answers again. A new step also needs a row in docs/orders.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from agent import deployments, images, networks, planning, secrets
from agent.deployments import Committed
from agent.docker_request import ImageSeen, user_for
from agent.gate import await_healthy
from agent.journal import Running
from agent.node import Done, Node, Stopping, Work, now_ms
from agent.orders import ApplyDeployment, RemoveDeployment, verb_of
from agent.orders.envelope import decode_order
from agent.planning import Plan
from agent.problems import EngineGone, Failed, Refused

log = structlog.get_logger()

_STOP_OLD_S = 10
_UNTIDY = "what was begun; it is taken away as soon as the Docker Engine answers again"


def apply(work: Work, order: ApplyDeployment) -> Done:
    """Put a revision in place, or go on with doing so. Raises Failed; nothing remains then."""
    with work.turn(order.deployment):
        return _Saga(work, order).run()


def tidy(work: Work, order: ApplyDeployment) -> None:
    """Take away what an order that failed without an engine had begun, or end what it committed."""
    with work.turn(order.deployment):
        _Saga(work, order).tidy()


def look(work: Work, order: ApplyDeployment) -> Done | None:
    """The journal's steps say how far it came: going on is the way to look."""
    return None


def undo(order: ApplyDeployment) -> RemoveDeployment:
    """A first revision is undone by removing the deployment; a later one by applying the earlier."""
    return RemoveDeployment(deployment=order.deployment)


class _Saga:
    def __init__(self, work: Work, order: ApplyDeployment) -> None:
        self.work = work
        self.order = order
        self.node: Node = work.node
        self.id = work.body.id
        self.names = deployments.names_of(self.node, order)
        self.left: list[str] = []
        work.deadline_ms = work.started_ms + order.deadline_s * 1000

    def run(self) -> Done:
        steps = {s.step: s.facts for s in self.node.journal.steps(self.id)}
        if "rolling_back" in steps:
            self._roll_back(_failure(steps["rolling_back"]))
        if "planned" in steps:
            plan = msgspec.convert(steps["planned"], type=Plan)
        else:
            running = self.node.journal.deployment(self.order.deployment)
            if done := self._as_before(running):
                return done
            plan = planning.plan(self.work, self.order, self.names, running)
        if "committed" not in steps:
            try:
                self._with_patience(lambda: self._forward(plan))
            except Stopping:
                raise
            except Exception as e:
                failed = e if isinstance(e, Failed) else _broke(e)
                # journaled by itself: the reason outlives a crash in the middle of the roll-back
                self._journal("rolling_back", msgspec.to_builtins(failed.problem()))
                self._roll_back(failed)
        self.work.deadline_ms = None  # what is committed is not given up any more
        tidy = self._finish_or_warn(plan)
        return Done(facts=deployments.facts(self.node, self.order.deployment), tidy=tidy)

    def tidy(self) -> None:
        steps = {s.step: s.facts for s in self.node.journal.steps(self.id)}
        plan = msgspec.convert(steps["planned"], type=Plan)
        self.work.deadline_ms = None
        if "committed" in steps:
            self._finish(plan)
        else:
            self._undo(plan)

    # -- before anything is done

    def _as_before(self, running: Running | None) -> Done | None:
        """The result when this very revision is in place already. Raises Refused for an older number."""
        if running is None or running.revision == 0:
            return None
        number = self.order.revision.number
        if number < running.revision:
            raise Refused(
                "condition", f"Revision {running.revision} is in place, which is newer than {number}."
            )
        if number > running.revision:
            return None
        there = deployments.committed(running).order
        if (there.name, there.revision) != (self.order.name, self.order.revision):
            raise Refused("condition", f"Another revision {number} is in place already.")
        self.node.engine.require()
        found = deployments.current(self.node, deployments.committed(running))
        runs = found is not None and found["State"]["Status"] == "running"
        self.node.journal.want(running.id, "running")
        container = deployments.put_up(self.node, running)
        await_healthy(self.work, container, self.order.gate, self.order.revision.ports)
        return Done(facts=deployments.facts(self.node, running.id), already=runs)

    # -- forward; each of these may be repeated from the top

    def _forward(self, plan: Plan) -> None:
        node, order, engine = self.node, self.order, self.node.engine
        self._step("image")
        image = images.seen(images.obtain(self.work, order.revision.image))
        user_for(order.revision, image)
        node.point("image is here")
        self.work.say("creating", "Making the container.")
        self._step("network")
        networks.ensure(engine, self.names, self.id, node.file.networks)
        node.point("network is made")
        self._step("volumes")
        deployments.ensure_volumes(node, order, image, self.id)
        node.point("volumes are made")
        self._step("created")
        env = deployments.write_secrets(node, order, image)
        container = self._ensure_container(plan, image, env)
        node.point("container is made")
        if plan.old:
            self._step("stopping_old")
            self.work.say("stopping_old", "Stopping what ran until now.")
            engine.stop(plan.old, _STOP_OLD_S)
            node.point("old is stopped")
        self._step("started")
        self.work.say("starting", "Starting it.")
        engine.start(container)
        node.point("container is started")
        await_healthy(self.work, container, order.gate, order.revision.ports)
        node.point("container is healthy")
        body = Committed(order=order, order_id=self.id, image=image, container=container)
        node.journal.commit(
            self.id, order.deployment, order.revision.number, msgspec.json.encode(body), now_ms()
        )
        node.point("committed")

    def _ensure_container(self, plan: Plan, image: ImageSeen, env: dict[str, str]) -> str:
        mine = self._mine()
        if mine:
            return mine
        for leftover in self._leftovers(plan):
            self.node.engine.remove(leftover)
        name = self.names.revision(self.order.revision.number) if plan.old else self.names.container
        return deployments.create(self.node, self.order, image, order_id=self.id, name=name, env=env)

    def _finish_or_warn(self, plan: Plan) -> bool:
        """Finish; an error after the commit is told to the log only. Says whether nothing is left to do."""
        try:
            self._with_patience(lambda: self._finish(plan))
        except EngineGone:
            return False
        except Failed as e:
            log.warning("saga.unfinished", order=self.id, code=e.code, says=e.says, evidence=e.evidence)
        return True

    def _finish(self, plan: Plan) -> None:
        """After the commit: the old one goes, the new one gets the plain name and restarts by itself."""
        node = self.node
        running = node.journal.deployment(self.order.deployment)
        if running is None or running.claim != self.id:
            return  # removed or replaced since
        container = deployments.committed(running).container
        deployments.restart_by_itself(node, container)
        node.point("restart policy is set")
        if plan.old:
            node.engine.remove(plan.old)
            node.point("old is removed")
            found = node.engine.container(container)
            if found and found["Name"].lstrip("/") != self.names.container:
                with node.engine.calling():
                    node.engine.api().rename(container, self.names.container)
            node.point("container is renamed")
        keep = f"{self.order.revision.part}-{self.order.revision.number}"
        secrets.remove(node.secrets_root, node.trust.installation, self.order.deployment, keep=keep)
        node.point("finished")

    # -- back

    def _roll_back(self, e: Failed) -> None:
        """Take away what was begun, start the old one again, and raise `e`."""
        steps = {s.step: s.facts for s in self.node.journal.steps(self.id)}
        plan = msgspec.convert(steps["planned"], type=Plan)
        # the deadline was for going forward
        self.work.deadline_ms = None
        self.work.say("rolling_back", "It did not work; taking away what was begun.")
        try:
            self._with_patience(lambda: self._undo(plan))
        except EngineGone:
            raise Untidy(e, left_behind=(_UNTIDY,)) from e
        self._step("rolled_back")
        raise Failed(e.code, e.says, e.do, left_behind=tuple(self.left), evidence=e.evidence) from e

    def _undo(self, plan: Plan) -> None:
        node, order, engine = self.node, self.order, self.node.engine
        self.left.clear()
        mine = self._mine()
        keeps = order.on_failure == "keep"
        if mine and keeps:
            engine.stop(mine, _STOP_OLD_S)
            self.left.append(f"the stopped container {self._name_of(mine)}")
        elif mine:
            engine.remove(mine)
        node.point("new is removed")
        running = node.journal.deployment(order.deployment)
        if plan.old and plan.old_ran and running is not None and running.revision > 0:
            self.work.say("rolling_back", "Starting what ran until now.")
            self._attempt("the earlier revision does not run", lambda: deployments.put_up(node, running))
        node.point("old is started again")
        if not keeps:
            self._remove_made(plan)
            kept = running.revision if running else 0
            keep = f"{order.revision.part}-{kept}" if kept else ""
            secrets.remove(node.secrets_root, node.trust.installation, order.deployment, keep=keep)
        node.journal.unclaim(order.deployment, order.revision.number)
        node.point("given back")

    def _remove_made(self, plan: Plan) -> None:
        """Remove network, volumes and image, as far as this order brought them."""
        node, pin = self.node, self.order.revision.image
        own = {"installation": node.trust.installation, "deployment": self.order.deployment, "order": self.id}
        found_networks, found_volumes = node.engine.owned(**own)
        for volume in found_volumes:
            self._attempt(f"the volume {volume}", partial(deployments.remove_volume, node, volume))
        for network in () if plan.network_was_here else found_networks:
            self._attempt(f"the network {network}", partial(networks.remove, node.engine, network))
        node.point("network is removed")
        if not plan.image_was_here and not self._wanted_by_another():
            try:
                images.take_off(node, pin)
            except EngineGone:
                raise
            except Failed as e:
                # used by a container since: then it is no leaving of ours
                if e.code != "in_use":
                    self.left.append(f"the image {pin.reference}")
        if pin.blob:
            node.blobs.drop(pin.blob)
        node.point("image is removed")

    def _wanted_by_another(self) -> bool:
        """Whether another order under way needs the image too."""
        for row in self.node.journal.unfinished():
            if row.id != self.id and row.verb == verb_of(self.order):
                other = decode_order(row.payload).order
                if isinstance(other, ApplyDeployment) and other.revision.image == self.order.revision.image:
                    return True
        return False

    def _attempt(self, otherwise: str, go: Callable[[], object]) -> None:
        """Do it; what cannot be done is named as left behind, and the rest goes on."""
        try:
            go()
        except EngineGone:
            raise
        except Failed as e:
            self.left.append(f"{otherwise}: {e.says}")

    # -- small things

    def _with_patience(self, go: Callable[[], None]) -> None:
        """Do it, and again when the engine went away and came back within the node's grace."""
        gone_since: float | None = None
        while True:
            try:
                go()
                return
            except EngineGone:
                gone_since = gone_since or time.monotonic()
                if not self._engine_is_back(gone_since):
                    raise
                if time.monotonic() - gone_since > self.node.file.engine_grace_s:
                    raise
                self.work.node.stopping.wait(0.2)

    def _engine_is_back(self, gone_since: float) -> bool:
        while not self.node.engine.answers():
            if time.monotonic() - gone_since > self.node.file.engine_grace_s:
                return False
            self.work.mind()
            self.work.say("waiting_for_engine", "The Docker Engine does not answer; waiting for it.")
            self.node.stopping.wait(0.5)
        return True

    def _mine(self) -> str:
        """The container that this very order made, if it is there."""
        rows = self.node.engine.labelled(
            installation=self.node.trust.installation, deployment=self.order.deployment, order=self.id
        )
        return str(rows[0]["Id"]) if rows else ""

    def _leftovers(self, plan: Plan) -> list[str]:
        """Containers of this deployment that are neither the committed one nor ours."""
        rows = self.node.engine.labelled(
            installation=self.node.trust.installation, deployment=self.order.deployment
        )
        return [str(r["Id"]) for r in rows if r["Id"] != plan.old]

    def _name_of(self, container: str) -> str:
        found = self.node.engine.container(container)
        return str(found["Name"]).lstrip("/") if found else container[:12]

    def _step(self, step: str) -> None:
        self.work.mind()
        self._journal(step, {})
        self.node.point(step)

    def _journal(self, step: str, facts: dict[str, Any]) -> None:
        self.node.journal.step(self.id, step, facts, now_ms())


class Untidy(Failed):
    """The order failed and something remains, because the engine does not answer; `tidy` takes it away."""

    def __init__(self, e: Failed, *, left_behind: tuple[str, ...]) -> None:
        super().__init__(e.code, e.says, e.do, left_behind=left_behind, evidence=e.evidence)


def _broke(e: Exception) -> Failed:
    log.exception("saga.broke", exc_info=e)
    return Failed("internal", "The agent met an error of its own; nothing of the order remains.")


def _failure(facts: dict[str, Any]) -> Failed:
    return Failed(facts["code"], facts["says"], facts["do"], evidence=tuple(facts["evidence"]))
