"""The part of Jinja2's syntax that authors have: a list of nodes, each turned into a closure.

Rule 1: Jinja2 only parses. What stands in `_EXPRESSIONS` and `_STATEMENTS` is permitted; every other node is
refused when the flow is compiled (security.md, "Templates"; attacks.md S-4).
Rule 2: values are JSON data. An attribute is a key of a dict; nothing of Python's objects is reachable.
Rule 3: what cannot be known when compiled (lengths, types) is capped or ends in `Unset` or `Unfit`.
`needs` are the names that are read in any case, `may` all of them: lint tells the two apart.
A new node or filter also needs a row in docs/authoring.md.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jinja2
from jinja2 import nodes

from bot.engine import filters
from bot.engine.filters import Unfit

SOURCE_CHARS: Final = 8_000  # of one template; the longest message of ours has 900
NODES: Final = 400  # of one template
ATTRIBUTES: Final = 8  # in a row: a.b.c.d.e.f.g.h
LITERALS: Final = 50  # in one list
LOOP_ITEMS: Final = 200  # of a `for`; the rest is said as a number
OUTPUT_CHARS: Final = 60_000  # of one rendered template
NUMBER_MAX: Final = 2**53  # beyond it JSON numbers lose digits

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]
HOLE_OPENS, HOLE_CLOSES = "\ue000", "\ue001"  # private use: where a value goes in a message's Markdown


class TemplateRefused(Exception):
    """The source is not in the permitted syntax. The message is a sentence for the author."""


class Unset(Unfit):
    """A name or attribute has no value here."""


class Rendering:
    """Where a template writes: text of the author, and values apart from it."""

    __slots__ = ("chars", "pieces", "values")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.values: list[Any] = []
        self.chars = 0

    def write(self, text: str) -> None:
        self._count(len(text))
        self.pieces.append(text)

    def insert(self, value: Any) -> None:
        self._count(8)
        self.pieces.append(f"{HOLE_OPENS}{len(self.values)}{HOLE_CLOSES}")
        self.values.append(value)

    def _count(self, chars: int) -> None:
        self.chars += chars
        if self.chars > OUTPUT_CHARS:
            raise Unfit(f"the text grows beyond {OUTPUT_CHARS} characters")


Write = Callable[[dict[str, Any], Rendering], None]


_JINJA = jinja2.Environment(  # noqa: S701  (it only parses; nothing is rendered by it)
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)


def parse(source: str) -> nodes.Template:
    if len(source) > SOURCE_CHARS:
        raise TemplateRefused(f"A template may have {SOURCE_CHARS} characters; this one has {len(source)}.")
    if HOLE_OPENS in source or HOLE_CLOSES in source:
        raise TemplateRefused("The characters U+E000 and U+E001 are not allowed in a template.")
    try:
        tree = _JINJA.parse(source)
        count = sum(1 for _ in tree.find_all(nodes.Node))
    except jinja2.TemplateSyntaxError as e:
        raise TemplateRefused(f"{_short(source)}: {e.message}") from e
    except (RecursionError, ValueError, OverflowError) as e:
        raise TemplateRefused(f"{_short(source)}: nested too deep, or a number too large.") from e
    if count > NODES:
        raise TemplateRefused(f"{_short(source)}: a template may have {NODES} parts; this one has {count}.")
    return tree


def _short(source: str) -> str:
    return repr(source if len(source) <= 60 else source[:57] + "…")


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda a, b: operator.contains(b, a),
    "notin": lambda a, b: not operator.contains(b, a),
}


class Reader:
    """Turns permitted nodes into closures and notes which names they read."""

    def __init__(self) -> None:
        self.needs: set[str] = set()
        self.may: set[str] = set()
        self._local: list[str] = []
        self._optional = 0
        self._looping = False

    def statements(self, body: Sequence[nodes.Node]) -> list[Write]:
        return [write for node in body for write in self._statement(node)]

    def read(self, node: nodes.Node) -> Evaluate:
        reading = _EXPRESSIONS.get(type(node))
        if reading is None:
            raise TemplateRefused(f"{type(node).__name__} is not permitted in a template.")
        return reading(self, node)

    def _statement(self, node: nodes.Node) -> list[Write]:
        writing = _STATEMENTS.get(type(node))
        if writing is None:
            raise TemplateRefused(f"{{% {type(node).__name__.lower()} %}} is not permitted in a template.")
        return writing(self, node)

    def _output(self, node: nodes.Output) -> list[Write]:
        writes: list[Write] = []
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                writes.append(writing(part.data))
            else:
                writes.append(inserting(self.read(part)))
        return writes

    def _if(self, node: nodes.If) -> list[Write]:
        ways = [(self.read(node.test), self._guarded(node.body))]
        for other in node.elif_:
            ways.append((self.read(other.test), self._guarded(other.body)))
        otherwise = self._guarded(node.else_)

        def write(names: dict[str, Any], out: Rendering) -> None:
            chosen = next((body for test, body in ways if test(names)), otherwise)
            for part in chosen:
                part(names, out)

        return [write]

    def _guarded(self, body: Sequence[nodes.Node]) -> list[Write]:
        """What stands under a condition: the names in it are read on some ways only."""
        self._optional += 1
        writes = self.statements(body)
        self._optional -= 1
        return writes

    def _for(self, node: nodes.For) -> list[Write]:
        if self._looping:
            raise TemplateRefused("A {% for %} inside a {% for %} is not permitted; use the join filter.")
        if node.test is not None or node.recursive:
            raise TemplateRefused("{% for %} takes a list only: no condition, no recursion.")
        if not isinstance(node.target, nodes.Name):
            raise TemplateRefused("{% for %} takes one name.")
        if not isinstance(node.iter, nodes.Name | nodes.Getattr | nodes.Getitem | nodes.Filter):
            raise TemplateRefused("{% for %} goes over a declared list.")
        items = self.read(node.iter)
        name = node.target.name
        self._looping = True
        self._local += [name, "loop"]
        body = self.statements(node.body)
        del self._local[-2:]
        self._looping = False
        otherwise = self.statements(node.else_)

        def write(names: dict[str, Any], out: Rendering) -> None:
            listed = items(names)
            if not isinstance(listed, list | tuple):
                raise Unfit(f"{{% for {name} %}} needs a list")
            inner = dict(names)
            last = min(len(listed), LOOP_ITEMS)
            for index, item in enumerate(listed[:LOOP_ITEMS], 1):
                inner[name] = item
                inner["loop"] = {"index": index, "first": index == 1, "last": index == last}
                for part in body:
                    part(inner, out)
            if len(listed) > LOOP_ITEMS:
                out.insert(f"… and {len(listed) - LOOP_ITEMS} more")
            if not listed:
                for part in otherwise:
                    part(names, out)

        return [write]

    def _const(self, node: nodes.Const) -> Evaluate:
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > NUMBER_MAX:
            raise TemplateRefused(f"The number {str(value)[:20]}… is too large.")
        return lambda _: value

    def _name(self, node: nodes.Name) -> Evaluate:
        name = node.name
        if name not in self._local:
            self.may.add(name)
            if not self._optional:
                self.needs.add(name)

        def evaluate(scope: Scope) -> Any:
            try:
                return scope[name]
            except KeyError:
                raise Unset(f"{name!r} has no value here") from None

        return evaluate

    def _getattr(self, node: nodes.Getattr) -> Evaluate:
        return self._within(node, node.attr)

    def _getitem(self, node: nodes.Getitem) -> Evaluate:
        if not isinstance(node.arg, nodes.Const) or type(node.arg.value) not in (str, int):
            raise TemplateRefused("Only a fixed name or number may stand in [ ].")
        return self._within(node, node.arg.value)

    def _within(self, node: nodes.Getattr | nodes.Getitem, key: str | int) -> Evaluate:
        depth, below = 1, node.node
        while isinstance(below, nodes.Getattr | nodes.Getitem):
            depth, below = depth + 1, below.node
        if depth > ATTRIBUTES:
            raise TemplateRefused(f"More than {ATTRIBUTES} attributes in a row are not permitted.")
        if isinstance(key, str) and key.startswith("_"):
            raise TemplateRefused(f"The attribute {key!r} is not permitted.")
        base = self.read(node.node)

        def evaluate(scope: Scope) -> Any:
            value = base(scope)
            try:
                if isinstance(value, dict):
                    return value[key]
                if isinstance(value, list | tuple) and isinstance(key, int):
                    return value[key]
            except (KeyError, IndexError):
                pass
            raise Unset(f"there is no {key!r} in that value")

        return evaluate

    def _compare(self, node: nodes.Compare) -> Evaluate:
        first = self.read(node.expr)
        steps = [(_COMPARE[operand.op], self.read(operand.expr)) for operand in node.ops]

        def evaluate(scope: Scope) -> bool:
            left = first(scope)
            for holds, reading in steps:
                right = reading(scope)
                try:
                    if not holds(left, right):
                        return False
                except TypeError as e:
                    raise Unfit("two values of different kinds are compared") from e
                left = right
            return True

        return evaluate

    def _and(self, node: nodes.And) -> Evaluate:
        left, right = self.read(node.left), self.read(node.right)
        return lambda scope: left(scope) and right(scope)

    def _or(self, node: nodes.Or) -> Evaluate:
        left, right = self.read(node.left), self.read(node.right)
        return lambda scope: left(scope) or right(scope)

    def _not(self, node: nodes.Not) -> Evaluate:
        inner = self.read(node.node)
        return lambda scope: not inner(scope)

    def _cond(self, node: nodes.CondExpr) -> Evaluate:
        if node.expr2 is None:
            raise TemplateRefused("An if-expression needs its else.")
        test = self.read(node.test)
        self._optional += 1
        then, otherwise = self.read(node.expr1), self.read(node.expr2)
        self._optional -= 1
        return lambda scope: then(scope) if test(scope) else otherwise(scope)

    def _add(self, node: nodes.Add) -> Evaluate:
        return self._sum(node, operator.add)

    def _sub(self, node: nodes.Sub) -> Evaluate:
        return self._sum(node, operator.sub)

    def _sum(self, node: nodes.Add | nodes.Sub, combine: Callable[[Any, Any], Any]) -> Evaluate:
        for side in (node.left, node.right):
            if isinstance(side, nodes.Const) and not _is_number(side.value):
                raise TemplateRefused("+ and - work on numbers only.")
        left, right = self.read(node.left), self.read(node.right)

        def evaluate(scope: Scope) -> Any:
            a, b = left(scope), right(scope)
            if not (_is_number(a) and _is_number(b)):
                raise Unfit("+ and - work on numbers only")
            total = combine(a, b)
            if abs(total) > NUMBER_MAX:
                raise Unfit("a number grows too large")
            return total

        return evaluate

    def _neg(self, node: nodes.Neg) -> Evaluate:
        if not isinstance(node.node, nodes.Const) or not _is_number(node.node.value):
            raise TemplateRefused("- stands before a number only.")
        value = -node.node.value
        return lambda _: value

    def _list(self, node: nodes.List | nodes.Tuple) -> Evaluate:
        if len(node.items) > LITERALS:
            raise TemplateRefused(f"A list may have {LITERALS} items.")
        items = [self.read(item) for item in node.items]
        return lambda scope: [item(scope) for item in items]

    def _filter(self, node: nodes.Filter) -> Evaluate:
        known = filters.FILTERS.get(node.name)
        if known is None or node.node is None:
            raise TemplateRefused(
                f"There is no filter {node.name!r}. There are: {', '.join(filters.FILTERS)}."
            )
        if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise TemplateRefused(f"The filter {node.name!r} takes its arguments by position.")
        if not known.least <= len(node.args) <= known.most:
            raise TemplateRefused(f"The filter {node.name!r} takes {known.takes}.")
        if node.name == "default":
            return self._default(node)
        value, args = self.read(node.node), [self.read(arg) for arg in node.args]
        apply = known.apply
        if not args:
            return lambda scope: apply(value(scope))
        return lambda scope: apply(value(scope), *[arg(scope) for arg in args])

    def _default(self, node: nodes.Filter) -> Evaluate:
        self._optional += 1
        assert node.node is not None  # noqa: S101  (checked in _filter; for the type checker)
        value = self.read(node.node)
        self._optional -= 1
        other = self.read(node.args[0])

        def evaluate(scope: Scope) -> Any:
            try:
                found = value(scope)
            except Unset:
                return other(scope)
            return other(scope) if found is None else found

        return evaluate


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def writing(text: str) -> Write:
    """Write the author's own text."""
    return lambda _, out: out.write(text)


def inserting(reading: Evaluate) -> Write:
    """Write a value, apart from the author's text."""
    return lambda names, out: out.insert(reading(names))


_EXPRESSIONS: dict[type[nodes.Node], Callable[[Reader, Any], Evaluate]] = {
    nodes.Const: Reader._const,
    nodes.Name: Reader._name,
    nodes.Getattr: Reader._getattr,
    nodes.Getitem: Reader._getitem,
    nodes.Compare: Reader._compare,
    nodes.And: Reader._and,
    nodes.Or: Reader._or,
    nodes.Not: Reader._not,
    nodes.CondExpr: Reader._cond,
    nodes.Add: Reader._add,
    nodes.Sub: Reader._sub,
    nodes.Neg: Reader._neg,
    nodes.List: Reader._list,
    nodes.Tuple: Reader._list,
    nodes.Filter: Reader._filter,
}
_STATEMENTS: dict[type[nodes.Node], Callable[[Reader, Any], list[Write]]] = {
    nodes.Output: Reader._output,
    nodes.If: Reader._if,
    nodes.For: Reader._for,
}
