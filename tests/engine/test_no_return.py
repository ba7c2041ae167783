"""Points of no return: said before, drawn, and back and undo end there visibly."""

from __future__ import annotations

import pytest

from bot.engine import (
    Ask,
    Call,
    Chatflow,
    Choose,
    Confirm,
    Do,
    End,
    Option,
    Pick,
    Say,
    Text,
    compile,
    diagram,
    orders,
)
from bot.engine.compile import FlowRefused
from bot.engine.refusals import CannotGoBack, NothingToUndo
from tests.engine.play import Play
from tests.engine.sample import PIN

PART = {"type": "part", "deployment": "d-0000000000000000"}


class Away(Chatflow):
    """Get an image, then remove a deployment with its data."""

    title = "Away"
    risk = "destroys"
    what = Ask(Text("What?"))
    get = Do(orders.PullImage(image=PIN), says="Getting it", undo=orders.RemoveImage(image=PIN))
    sure = Ask(Confirm("Remove it?"), then={"yes": "last", "no": "kept"})
    last = Say("Here we go.")
    which = Choose({"what == 'a'": "gone"}, otherwise="kept")
    gone = Do(
        orders.RemoveDeployment(deployment="d-0000000000000000", data="delete"),
        says="Removing the data",
        no_return=True,
    )
    after = Ask(Text("And now?"))
    again = Do(orders.PullImage(image=PIN), says="Getting it again", undo=orders.RemoveImage(image=PIN))
    late = Ask(Text("Later?"))
    kept = End("Kept.", outcome="unchanged")


def past_the_point() -> Play:
    return Play(Away).answer("a").finish().answer(True).finish()


def test_only_the_prompt_before_it_says_so() -> None:
    play = Play(Away)
    assert play.shown.no_return == ""
    play.answer("a").finish()
    assert play.shown.name == "sure" and "no way back" in play.shown.no_return
    assert play.shown.can_undo, "before it, there is a way back"


class Surely(Chatflow):
    """Ask whether to: a part of other flows."""

    title = "Surely"
    ask = Ask(Confirm("Really?"), then={"yes": "yes", "no": "no"})
    yes = End("", result=True)
    no = End("", result=False)


class Remover(Chatflow):
    """Remove it: a part of other flows that asks nobody."""

    title = "Remover"
    risk = "destroys"
    gone = Do(orders.RemoveDeployment(deployment="d-0000000000000000", data="delete"), no_return=True)
    done = End("")


class OfParts(Chatflow):
    """Ask and remove by flows of their own."""

    title = "Of parts"
    risk = "destroys"
    what = Ask(Text("What?"))
    sure = Call("surely")
    go = Choose({"sure": "note"}, otherwise="kept")
    note = Ask(Text("A note for the record?"))
    removing = Call("remover")
    after = Ask(Text("And now?"))
    kept = End("Kept.", outcome="unchanged")


class Straight(Chatflow):
    """The confirmation is in a flow of its own, the point of no return comes right after it."""

    title = "Straight"
    risk = "destroys"
    sure = Call("surely")
    go = Choose({"sure": "gone"}, otherwise="kept")
    gone = Do(orders.RemoveDeployment(deployment="d-0000000000000000", data="delete"), no_return=True)
    kept = End("Kept.", outcome="unchanged")


def test_it_is_said_into_and_out_of_called_flows() -> None:
    play = Play(OfParts, Surely, Remover)
    assert play.shown.no_return == ""
    play.answer("a")
    assert play.shown.name == "ask" and play.shown.no_return == "", "another question comes before it"
    play.answer(True)
    assert play.shown.name == "note" and "no way back" in play.shown.no_return
    play.answer("x").finish()
    assert play.shown.name == "after" and play.shown.no_return == ""
    assert "no return" in play.shown.no_back
    assert "no way back" in Play(Straight, Surely).shown.no_return


def test_after_it_neither_back_nor_undo_reach_what_was_before_and_the_prompt_says_why() -> None:
    play = past_the_point()
    assert play.shown.name == "after"
    assert not play.shown.can_back and not play.shown.can_undo
    assert "“Removing the data” was a point of no return" in play.shown.no_back
    with pytest.raises(CannotGoBack):
        play.back()
    with pytest.raises(NothingToUndo):
        play.undo()
    play.cancel()
    assert "image.remove" not in play.verbs(), "what was before it stays"
    ended = play.said("ended")[0]
    assert "This stays as it is:" in ended and "Removing the data" in ended


def test_what_comes_after_it_can_be_taken_back_and_gone_back_over() -> None:
    play = past_the_point().answer("b").finish()
    assert play.shown.can_undo and play.shown.no_back == ""
    play.undo().finish()
    assert play.shown.name == "after" and "no return" in play.shown.no_back
    play.answer("c").finish().cancel().finish()
    assert play.verbs().count("image.remove") == 2 and play.session.outcome == "cancelled"


def test_one_that_was_not_done_is_no_end_of_the_way_back() -> None:
    play = Play(Away).answer("a").finish().answer(True).finish("failed")
    assert play.shown.name == "way_on" and play.shown.can_back and play.shown.no_back == ""
    play.answer("back")
    assert play.shown.name == "sure" and play.shown.can_undo


def test_one_that_nobody_knows_of_is_the_end_of_the_way_back() -> None:
    play = Play(Away).answer("a").finish().answer(True).finish("unknown").answer("go_on")
    assert play.shown.name == "after" and "no return" in play.shown.no_back
    assert play.session.undos == ()


def test_a_change_without_an_undo_says_why_there_is_no_back() -> None:
    class Plain(Chatflow):
        """Stop it."""

        title = "Plain"
        risk = "disturbs"
        sure = Ask(
            Pick("Stop it?", options=[Option("stop"), Option("no")]), then={"stop": "stop", "no": "done"}
        )
        stop = Do(orders.StopTarget(target=PART), says="Stopping it")
        after = Ask(Text("And now?"))
        done = End("ok")

    play = Play(Plain).answer("stop").finish()
    assert play.shown.no_back.startswith("“Stopping it” cannot be taken back")
    play.answer("x")
    assert play.said("ended") == ["ok"], "what was meant to stay is not told as left"


def test_it_has_a_mark_of_its_own_in_the_picture() -> None:
    drawn = diagram.mermaid(compile.compile_class(Away))
    assert "POINT OF NO RETURN" in drawn and "class gone no_return" in drawn
    assert "note right of gone : No way back from here" in drawn


def test_an_undo_and_no_return_contradict_each_other() -> None:
    class Odd(Chatflow):
        """Both."""

        title = "Odd"
        risk = "changes"
        get = Do(orders.PullImage(image=PIN), undo=orders.RemoveImage(image=PIN), no_return=True)
        done = End("ok")

    with pytest.raises(FlowRefused, match="no point of no return"):
        compile.compile_class(Odd)
