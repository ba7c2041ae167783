"""What a kind of prompt needs besides what all have: what it shows, and what its control must know.

Rule: plain JSON, bounded (what is too long is cut, which is said), made when the prompt is shown. Channels
read it as it is; docs/engine.md says what stands in it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent.orders import limits
from bot.engine import answers, answers_time, form, schema, template, times
from bot.engine import text as tree
from bot.engine.filters import Unfit, as_text
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Choice
from bot.engine.syntax import Scope

ROWS: Final = 200  # of a table
CELL_CHARS: Final = 300
POINTS: Final = 200  # of each series of a chart
TEXT_CHARS: Final = 20_000  # of code, a log, a diff, a text to take away: a session keeps it
QR_BYTES: Final = 1_000  # more makes it too fine for a camera
_AT_BEGINNING = re.compile(r"@@ -[01](,\d+)? \+[01](,\d+)? @@")
_SHA256 = re.compile(limits.SHA256_PATTERN)
Options = Callable[[form.Prompt, Scope], tuple[Choice, ...]]


def has(prompt: form.Prompt) -> bool:
    """Whether a prompt has details at all."""
    return isinstance(prompt, form.PickMany | form.DateTime | form.Form | form.Shows)


def of(prompt: form.Prompt, scope: Scope, options: Options) -> dict[str, Any]:
    """The details for these values. `options` gives those of a pick. Raises Unfit."""
    match prompt:
        case form.PickMany():
            return {"least": prompt.least, "most": prompt.most}
        case form.DateTime():
            return _date_time(prompt, scope)
        case form.Form():
            return {"fields": [_field(field, scope, options) for field in prompt.fields]}
        case form.Table():
            return _table(prompt, scope)
        case form.Chart():
            return _chart(prompt, scope)
        case form.Log():
            return _log(_text(prompt.text, scope))
        case form.Code():
            words = _text(prompt.text, scope)
            cut = f"Only the first {TEXT_CHARS:,} characters are shown." if len(words) > TEXT_CHARS else ""
            return {"text": words[:TEXT_CHARS], "language": prompt.language, "cut": cut}
        case form.Diff():
            return _diff(_text(prompt.before, scope), _text(prompt.after, scope))
        case form.QRCode():
            words = as_text(template.evaluate(prompt.text, scope))
            if not 1 <= len(words.encode()) <= QR_BYTES:
                raise Unfit(f"a QR code holds 1 to {QR_BYTES} bytes, and these are {len(words.encode())}")
            return {"text": words}
        case form.Image():
            blob, _, name = _blob(prompt.blob, scope)
            return {"blob": blob, "name": name, "alt": _words(prompt.alt, scope)}
        case form.Download():
            return _download(prompt, scope)
        case _:
            return {}


def blocks(kind: str, details: dict[str, Any]) -> tree.Tree:
    """What is shown, as a message: for the transcript, and for channels that do not know the kind."""
    shown: list[tree.Block] = []
    match kind:
        case "table":
            shown.append(_as_table(details["columns"], details["rows"]))
        case "chart":
            unit = f" ({details['unit']})" if details["unit"] else ""
            heads = ["", *(f"{one['name']}{unit}" for one in details["series"])]
            columns = [[_number(value) for value in one["values"]] for one in details["series"]]
            shown.append(_as_table(heads, [list(row) for row in zip(details["at"], *columns, strict=True)]))
        case "log" | "code":
            shown.append(tree.Pre(details["text"], details.get("language", "")))
        case "diff":
            shown.append(tree.Pre("\n".join(mark + line for mark, line in details["lines"]), "diff"))
        case "qr":
            shown.append(tree.Pre(details["text"]))
        case "image" | "download" if details["blob"]:
            words = details.get("alt") or details["name"]
            shown.append(
                tree.Paragraph((tree.Link(f"/api/v1/blobs/{details['blob']}", (tree.Text(words),)),))
            )
        case "download":
            shown.append(tree.Pre(details["text"]))
    if details.get("cut"):
        shown.append(tree.Paragraph((tree.Text(details["cut"]),)))
    return tuple(shown)


def _as_table(head: list[str], rows: list[list[str]]) -> tree.Table:
    return tree.Table(tuple(head), tuple(tuple(row) for row in rows))


def _date_time(prompt: form.DateTime, scope: Scope) -> dict[str, Any]:
    session = scope.get("session") or {}
    zone = _words(prompt.zone, scope) or str(session.get("zone") or times.UTC_NAME)
    times.zone_of(zone)
    now_ms = int(session.get("at_ms") or 0)
    return {
        "time": prompt.time,
        "zone": zone,
        "earliest": answers_time.bound(template.evaluate(prompt.earliest, scope), prompt, zone, now_ms),
        "latest": answers_time.bound(template.evaluate(prompt.latest, scope), prompt, zone, now_ms),
    }


def _field(field: form.Field, scope: Scope, options: Options) -> dict[str, Any]:
    """A field as its control is made of it: what a prompt has, as plain data."""
    prompt = field.prompt
    offered = options(prompt, scope)
    own = of(prompt, scope, options)
    default = template.evaluate(getattr(prompt, "default", None), scope)
    if default is not None:
        try:
            default = answers.accept(prompt, default, options=offered, loosely=True, details=own).given
        except InvalidAnswer:
            default = None
    return {
        "name": field.name,
        "kind": str(prompt.__struct_config__.tag),
        "label": _words(prompt.label, scope),
        "help": _words(prompt.help, scope),
        "schema": schema.schema_of(prompt, offered),
        "default": default,
        "placeholder": prompt.placeholder if isinstance(prompt, form.Text) else "",
        "unit": prompt.unit if isinstance(prompt, form.Number) else "",
        "lines": isinstance(prompt, form.Text) and prompt.lines,
        "options": [_plain(choice) for choice in offered],
        "yes": prompt.yes if isinstance(prompt, form.YesNo) else "",
        "no": prompt.no if isinstance(prompt, form.YesNo) else "",
        "only_when": field.only_when,
        "details": own,
    }


def _plain(choice: Choice) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(choice)
    del plain["data"]
    return plain


def _table(prompt: form.Table, scope: Scope) -> dict[str, Any]:
    rows = template.evaluate(prompt.rows, scope)
    if not isinstance(rows, list | tuple):
        raise Unfit("`rows` of a table needs a list")
    cells = [[_cell(row, field, i) for i, (field, _) in enumerate(prompt.columns)] for row in rows[:ROWS]]
    cut = f"Only the first {ROWS} of {len(rows)} rows are shown." if len(rows) > ROWS else ""
    return {"columns": [heading for _, heading in prompt.columns], "rows": cells, "cut": cut}


def _cell(row: Any, field: str, index: int) -> str:
    value = row
    if isinstance(row, dict):
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    elif isinstance(row, list | tuple):
        value = row[index] if index < len(row) else ""
    elif index:
        value = ""
    return as_text(value)[:CELL_CHARS]


def _chart(prompt: form.Chart, scope: Scope) -> dict[str, Any]:
    series: list[dict[str, Any]] = []
    for name, source in prompt.series:
        values = template.evaluate(source, scope)
        if not isinstance(values, list | tuple) or not all(_is_number(value) for value in values):
            raise Unfit(f"the series {name!r} of a chart needs a list of numbers")
        series.append({"name": name, "values": list(values[-POINTS:])})
    length = max((len(one["values"]) for one in series), default=0)
    at = template.evaluate(prompt.at, scope)
    words = [as_text(one)[:40] for one in at[-POINTS:]] if isinstance(at, list | tuple) else []
    words += [str(n + 1) for n in range(len(words), length)]
    for one in series:
        one["values"] += [None] * (length - len(one["values"]))
    return {"series": series, "at": words[:length], "unit": prompt.unit, "style": prompt.style}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or (isinstance(value, int | float) and abs(value) < 1e15)


def _number(value: Any) -> str:
    return answers.NOTHING if value is None else as_text(round(value, 3))


def _log(words: str) -> dict[str, Any]:
    if len(words) <= TEXT_CHARS:
        return {"text": words, "cut": ""}
    kept = words[-TEXT_CHARS:].partition("\n")[2] or words[-TEXT_CHARS:]
    return {"text": kept, "cut": f"Only the last {len(kept.splitlines()):,} lines are shown."}


def _diff(before: str, after: str) -> dict[str, Any]:
    """Lines with a mark each: "+" new, "-" gone, " " as before, "@" for what is left out between."""
    old, new = before[:TEXT_CHARS].splitlines(), after[:TEXT_CHARS].splitlines()
    hunks = list(difflib.unified_diff(old, new, n=3, lineterm=""))[2:]
    if hunks and _AT_BEGINNING.match(hunks[0]):
        del hunks[0]  # nothing is left out before it
    lines = [["@", ""] if line.startswith("@@") else [line[:1], line[1:]] for line in hunks]
    cut = max(len(before), len(after)) > TEXT_CHARS
    return {
        "lines": lines,
        "added": sum(mark == "+" for mark, _ in lines),
        "gone": sum(mark == "-" for mark, _ in lines),
        "cut": f"Only the first {TEXT_CHARS:,} characters were compared." if cut else "",
    }


def _blob(source: Any, scope: Scope) -> tuple[str, int, str]:
    match template.evaluate(source, scope):
        case {"blob": str(digest), "bytes": int(size), "name": str(name)} if _SHA256.fullmatch(digest):
            return digest, size, name
        case str(digest) if _SHA256.fullmatch(digest):
            return digest, 0, ""
        case _:
            raise Unfit("a blob is needed: the answer to an Upload, or a SHA-256")


def _download(prompt: form.Download, scope: Scope) -> dict[str, Any]:
    name = _words(prompt.name, scope)
    if prompt.blob is not None:
        digest, size, own = _blob(prompt.blob, scope)
        return {"blob": digest, "bytes": size, "name": _file_name(name or own or digest[:12]), "text": ""}
    words = _text(prompt.text, scope)
    if len(words) > TEXT_CHARS:
        raise Unfit(f"a text to take away has at most {TEXT_CHARS:,} characters")
    return {"blob": "", "bytes": len(words.encode()), "name": _file_name(name), "text": words}


def _file_name(name: str) -> str:
    return re.sub(r"[/\\\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]+", "-", name).strip(". ")[:120] or "file"


def _text(source: Any, scope: Scope) -> str:
    value = template.evaluate(source, scope)
    if isinstance(value, list | tuple):
        return "\n".join(as_text(line) for line in value)
    return as_text(value)


def _words(source: str, scope: Scope) -> str:
    return template.template(source).to_words(scope) if template.is_template(source) else source
