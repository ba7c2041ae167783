"""Templates: the permitted part of the syntax, values with their types, and what is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine import filters, template
from bot.engine.filters import Unfit
from bot.engine.syntax import LOOP_ITEMS, TemplateRefused, Unset

SCOPE: dict[str, Any] = {
    "name": "web",
    "port": 8080,
    "big": 3.0,
    "image": {"digest": "sha256:abcdef0123456789", "tags": ["a", "b"], "none": None},
    "rows": [{"n": "x", "v": 1}, {"n": "y", "v": 2}],
    "yes": True,
}
BOMBS = [
    "{{ 'x' * 500000000 }}",
    "{{ [1] * 500000000 }}",
    "{{ 9 ** 999999 }}",
    "{{ name | wordwrap(1) }}",
    "{{ name | center(500000000) }}",
    "{{ '%500000000d' % 1 }}",
    "{{ '%500000000d' | format(1) }}",
    "{{ range(1000000000) }}",
    "{{ lipsum(1000) }}",
    "{{ name ~ name }}",
    "{{ name() }}",
    "{{ name.upper() }}",
    "{{ name.__class__ }}",
    "{{ name['__class__'] }}",
    "{{ name | attr('x') }}",
    "{{ self }}{{ name is defined }}",
    "{{ image.tags[0:2] }}",
    "{{ image[name] }}",
    "{{ {'a': 1} }}",
    "{% set a = 1 %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% macro m() %}{% endmacro %}",
    "{% call m() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% block b %}{% endblock %}",
    "{% with a = 1 %}{% endwith %}",
    "{% for a in rows %}{% for b in rows %}{% endfor %}{% endfor %}",
    "{% for a in rows recursive %}{% endfor %}",
    "{% for a in rows if a %}{% endfor %}",
    "{% for a, b in rows %}{% endfor %}",
    "{% for a in [1, 2] + rows %}{% endfor %}",
    "{{ a.b.c.d.e.f.g.h.i.j.k }}",
    "{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}",
    "{{ " + "9" * 5_000 + " }}",
    "{{ " + " + ".join(["1"] * 500) + " }}",
    "{{ 'a' + 'b' }}",
    "{{ [" + ",".join(["1"] * 60) + "] }}",
    "x" * 9_000,
    "{{ name",
    "{% if %}",
    "\ue0000\ue001",
]


@pytest.mark.parametrize("source", BOMBS, ids=lambda s: s[:40])
def test_what_is_not_listed_is_refused_when_compiled(source: str) -> None:
    with pytest.raises(TemplateRefused):
        template.template(source)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ port }}", 8080),
        ("{{ image }}", SCOPE["image"]),
        ("{{ port + 1 - 2 }}", 8079),
        ("{{ port > 80 and not (name == 'db') }}", True),
        ("{{ 'big' if port >= 8000 else 'small' }}", "big"),
        ("{{ name in ['web', 'db'] }}", True),
        ("{{ image['digest'] | short(4) }}", "abcd"),
        ("{{ image.tags[0] }}", "a"),
        ("{{ missing | default('there') }}", "there"),
        ("{{ image.none | default(7) }}", 7),
        ("{{ image.missing | default(none) }}", None),
        ("{{ rows | find('n', 'y') }}", {"n": "y", "v": 2}),
        ("{{ (rows | find('n', 'y')).v }}", 2),
        ("{{ -5 }}", -5),
        ("http://{{ name }}:{{ port }}/{{ big }}", "http://web:8080/3"),
        ("{% if yes %}on{% elif port %}?{% else %}off{% endif %}", "on"),
        (
            "{% for r in rows %}{{ loop.index }}{{ r.n }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1x,2y",
        ),
        ("plain", "plain"),
        ({"a": ["{{ port }}", 1, None]}, {"a": [8080, 1, None]}),
    ],
)
def test_one_expression_keeps_its_type_and_the_rest_becomes_text(source: Any, value: Any) -> None:
    assert template.evaluate(source, SCOPE) == value


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing }}",
        "{{ image.missing }}",
        "{{ name.digest }}",
        "{{ image.none.deeper }}",
        "{{ rows[5] }}",
        "{{ rows | find('n', 'z') | default(missing) }}",
    ],
)
def test_what_has_no_value_is_an_error_and_never_empty_text(source: str) -> None:
    with pytest.raises(Unset):
        template.evaluate(source, SCOPE)


@pytest.mark.parametrize(
    "source",
    [
        "{{ name + 1 }}",
        "{{ name < 1 }}",
        "{{ port | upper }}",
        "x{{ rows }}",
        "{% for a in name %}{% endfor %}",
    ],
)
def test_a_value_of_the_wrong_kind_is_an_error(source: str) -> None:
    with pytest.raises(Unfit):
        template.evaluate(source, SCOPE)


def test_a_loop_ends_at_its_limit_and_says_how_many_are_left() -> None:
    many = template.evaluate("{% for i in items %}.{% endfor %}", {"items": list(range(LOOP_ITEMS + 7))})
    assert many == "." * LOOP_ITEMS + "… and 7 more"


def test_what_people_type_is_a_value_and_never_a_template() -> None:
    assert template.evaluate("{{ name }}", {"name": "{{ 7 + 7 }}"}) == "{{ 7 + 7 }}"


def test_the_output_is_capped() -> None:
    with pytest.raises(Unfit):
        template.evaluate("{% for i in items %}" + "x" * 1_000 + "{% endfor %}", {"items": list(range(200))})
    with pytest.raises(Unfit):
        template.evaluate("{{ a }}{{ a }}", {"a": "x" * 40_000})


def test_lint_learns_which_names_are_read_in_any_case() -> None:
    read = template.template(
        "{{ a }}{{ b | default(1) }}{% if c %}{{ d }}{% endif %}{% for e in f %}{{ e.x }}{% endfor %}"
    )
    assert read.needs == {"a", "c", "f"}
    assert read.may == {"a", "b", "c", "d", "f"}


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("{{ 125 | seconds }}", "2 min 5 s"),
        ("{{ 2.04 | seconds }}", "2 s"),
        ("{{ 7300 | seconds }}", "2 h 1 min"),
        ("{{ 1536 | size }}", "1.5 KiB"),
        ("{{ 268435456 | mib }}", 256),
        ("{{ rows | count | plural('row') }}", "2 rows"),
        ("{{ 1 | plural('box', 'boxes') }}", "1 box"),
        ("{{ rows | join(' / ', 'n') }}", "x / y"),
        ("{{ rows | pluck('v') }}", [1, 2]),
        ("{{ rows | where('v', 1) | count }}", 1),
        ("{{ rows | without('v', 1) | pluck('n') }}", ["y"]),
        ("{{ rows | sort('v') | first }}", {"n": "x", "v": 1}),
        ("{{ rows | pluck('n') | concat(image.tags) | last }}", "b"),
        ("{{ image.tags | lines }}", "a\nb"),
        ("{{ 'ghcr.io/Me/My_App:2' | slug }}", "my-app"),
        ("{{ '::' | slug }}", "app"),
        ("{{ 'a=b=c' | before('=') }}", "a"),
        ("{{ 'a=b=c' | after('=') }}", "b=c"),
        ("{{ '8080' | number }}", 8080),
        ("{{ 2.46 | round(1) }}", 2.5),
        ("{{ 0 | date }}", "1970-01-01 00:00 UTC"),
        ("{{ ' A ' | trim | lower | upper }}", "A"),
        ("{{ image.tags | json }}", '["a","b"]'),
    ],
)
def test_filters(call: str, value: Any) -> None:
    assert template.evaluate(call, SCOPE) == value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(name=st.sampled_from(sorted(filters.FILTERS)), value=JSON, args=st.lists(JSON, max_size=2))
def test_a_filter_gives_a_value_or_says_unfit_whatever_it_is_given(
    name: str, value: Any, args: list[Any]
) -> None:
    known = filters.FILTERS[name]
    if not known.least <= len(args) <= known.most:
        args = args[: known.most] + [1] * (known.least - len(args))
    with contextlib.suppress(Unfit):
        known.apply(value, *args)


@given(JSON)
def test_any_value_can_be_shown(value: Any) -> None:
    shown = filters.as_text(value)
    assert not any(c in shown for c in "\x00\x1b\u202e")


def test_a_sealed_secret_is_shown_as_dots() -> None:
    sealed = {"sealed": {"node": "n", "for_node": "QQ==", "for_recovery": "QQ=="}}
    assert filters.as_text(sealed) == "••••••"
    assert filters.as_text([{"name": "A", "value": "1"}, {"name": "B", **sealed}]) == "A=1, B=••••••"
