"""Why an order is not done, as exceptions that turn into the `Problem` of a result.

Every code that a node can report is a row of `WHAT_TO_DO`, with the sentence that says how to go on.
`Refused` = the order may not be carried out here, nothing was done. `Failed` = the world said no.
`EngineGone` = the engine did not answer, so that what was asked of it may or may not have happened.
"""

from __future__ import annotations

from agent.orders.results import Problem

WHAT_TO_DO: dict[str, str] = {
    "refused.form": "Correct what the sentence names and send a new order.",
    "refused.size": "Send a smaller order.",
    "refused.signature": "Check that this node belongs to this installation; see `hercules doctor`.",
    "refused.installation": "The order belongs to another installation; send it to a node of that one.",
    "refused.epoch": "The bot was restored from a backup: send the order again from the restored bot.",
    "refused.node": "Send the order to the node that it names.",
    "refused.reused_id": "Somebody used this order's id twice; look into the bot's audit log.",
    "refused.not_yet": "Compare the clocks of bot and node.",
    "refused.expired": "Start the step again; if it happens at once, compare the clocks of bot and node.",
    "refused.lifetime": "Send an order that ends sooner.",
    "refused.unknown_verb": "Update the agent of this node.",
    "refused.node_file": "Choose something that this node permits, or have its root change node.toml.",
    "refused.condition": "Look again at what is running and decide anew.",
    "image_not_found": "Check the spelling of the image's name and tag.",
    "registry_unreachable": "Check the network of the node, or try again in a while.",
    "registry_denied": "The registry asks for a sign-in or the image does not exist: check its name.",
    "not_an_image": "Make the file with `docker save NAME -o file.tar` and upload it again.",
    "wrong_platform": "Choose an image that is made for this machine.",
    "port_taken": "Choose another port.",
    "name_taken": "Choose another name.",
    "engine_down": "Start the Docker Engine on the node (`systemctl start docker`), then try again.",
    "disk_full": "Free some space on the node (`docker system df` shows what uses it), then try again.",
    "unhealthy": "Read the last lines of its log; correct the settings and try again.",
    "exited": "Read the last lines of its log; correct the settings and try again.",
    "deadline": "Try again, or allow it more time.",
    "no_such_target": "Look again at what is running.",
    "secret_unreadable": "Type the secret again: it was sealed for another node or is damaged.",
    "blob_unavailable": "Upload the file again.",
    "crash_loop": "Read its log, correct the settings and start it again.",
    "in_use": "Remove what uses it first.",
    "internal": "Try again; if it stays, report it with the agent's log.",
}
"""What a person can do next, by code."""


class Failed(Exception):
    """An order that was not done. `code` is a key of WHAT_TO_DO."""

    def __init__(
        self,
        code: str,
        says: str,
        do: str = "",
        *,
        left_behind: tuple[str, ...] = (),
        evidence: tuple[str, ...] = (),
    ) -> None:
        super().__init__(says)
        self.code = code
        self.says = says
        self.do = do or WHAT_TO_DO[code]
        self.left_behind = left_behind
        self.evidence = evidence

    def problem(self) -> Problem:
        """The form that travels in a result."""
        return Problem(
            code=self.code,
            says=self.says,
            do=self.do,
            left_behind=self.left_behind,
            evidence=self.evidence,
        )


class Refused(Failed):
    """The order may not be carried out here; nothing was done. `why` is the part after "refused."."""

    def __init__(self, why: str, says: str, do: str = "") -> None:
        super().__init__(f"refused.{why}", says, do)


class EngineGone(Failed):
    """The Docker Engine did not answer."""

    def __init__(self, says: str = "The Docker Engine of this machine does not answer.") -> None:
        super().__init__("engine_down", says)


class EngineDown(EngineGone):
    """The Docker Engine did not answer before anything was asked of it: nothing was done."""
