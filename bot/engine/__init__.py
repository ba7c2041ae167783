"""The pure chatflow engine, and the words that authors of chatflows use."""

from bot.engine import facts, orders
from bot.engine.messages import message
from bot.engine.vocabulary import (
    Ask,
    Call,
    Case,
    Chatflow,
    Choose,
    Confirm,
    Do,
    End,
    KeyValues,
    Number,
    Option,
    Pick,
    Say,
    Secret,
    Text,
    Upload,
    Wait,
    YesNo,
)

__all__ = [
    "Ask",
    "Call",
    "Case",
    "Chatflow",
    "Choose",
    "Confirm",
    "Do",
    "End",
    "KeyValues",
    "Number",
    "Option",
    "Pick",
    "Say",
    "Secret",
    "Text",
    "Upload",
    "Wait",
    "YesNo",
    "facts",
    "message",
    "orders",
]
