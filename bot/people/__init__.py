"""Who is who: people and their roles, one-time links, sign-ins, API tokens."""

from bot.people.people import AddedToken, People, Person, SignIn, Token
from bot.people.refusals import (
    BadPersonName,
    LastOwner,
    NoSuchPerson,
    NoSuchToken,
    PersonNameTaken,
    RoleTooHigh,
    TooManyTries,
)
from bot.people.rights import ROLES, Right, Role, may, may_open

__all__ = [
    "ROLES",
    "AddedToken",
    "BadPersonName",
    "LastOwner",
    "NoSuchPerson",
    "NoSuchToken",
    "People",
    "Person",
    "PersonNameTaken",
    "Right",
    "Role",
    "RoleTooHigh",
    "SignIn",
    "Token",
    "TooManyTries",
    "may",
    "may_open",
]
