"""What the people's room refuses. See `bot.engine.refusals` for the families."""

from __future__ import annotations

from bot.engine.refusals import Refused


class NoSuchPerson(Refused):
    """No person of that id or name."""

    code, http = "no_such_person", 404
    says = "There is nobody called {name!r} here."
    do = "Look at the list of people (hercules user list)."


class PersonNameTaken(Refused):
    """Somebody has this name."""

    code, http = "person_name_taken", 409
    says = "There is somebody called {name!r} already."
    do = "Choose another name."


class BadPersonName(Refused):
    """A name that could not be read, or could be mistaken."""

    code, http = "bad_person_name", 422
    says = "{name!r} cannot be a person's name."
    do = "Use 1 to 40 letters, digits, spaces and . _ - @, beginning and ending with a letter or digit."


class LastOwner(Refused):
    """Somebody has to remain who may do everything."""

    code, http = "last_owner", 409
    says = "{name} is the only owner."
    do = "Make somebody else an owner first."


class NoSuchToken(Refused):
    """No API token of that id."""

    code, http = "no_such_token", 404
    says = "There is no token {id!r}."
    do = "Look at the list of tokens (hercules user token NAME --list)."


class RoleTooHigh(Refused):
    """A token never may more than the person whose it is."""

    code, http = "role_too_high", 422
    says = "{name} is {role}, so a token of theirs cannot be {wanted}."
    do = "Ask for a role that is not higher."


class TooManyTries(Refused):
    """Failures from one source faster than anybody mistypes. What is right still passes."""

    code, http = "too_many_tries", 429
    says = "Too many failed tries."
    do = "Wait {seconds} s and try again."
