"""Messages: the author's Markdown becomes the tree, values stay text."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine import markdown, text
from bot.engine.text import Code, Emphasis, Items, Link, Paragraph, Pre, Strong, Table, Text, Tree


def render(source: str, **names: object) -> Tree:
    return markdown.message(source).render(names)


def test_an_authors_markdown_becomes_nodes() -> None:
    tree = render(
        "# Head\n\nA **bold** *word*, `code` and [a link](https://example.org/x).\n\n"
        "1. one\n2. two\n\n```sh\nls\n```"
    )
    assert tree == (
        Paragraph((Strong((Text("Head"),)),)),
        Paragraph(
            (
                Text("A "),
                Strong((Text("bold"),)),
                Text(" "),
                Emphasis((Text("word"),)),
                Text(", "),
                Code("code"),
                Text(" and "),
                Link("https://example.org/x", (Text("a link"),)),
                Text("."),
            )
        ),
        Items(True, ((Text("one"),), (Text("two"),))),
        Pre("ls", "sh"),
    )


def test_a_table_is_filled_by_a_loop_and_its_cells_hold_any_text() -> None:
    source = (
        "| name | state |\n|---|---|\n{% for c in all %}\n| {{ c.name }} | {{ c.state }} |\n{% endfor %}\n"
    )
    tree = render(source, all=[{"name": "a|b", "state": "**x**"}, {"name": "<b>", "state": None}])
    assert tree == (Table(("name", "state"), (("a|b", "**x**"), ("<b>", ""))),)


HOSTILE = [
    "**bold**",
    "[x](javascript:alert(1))",
    "<script>alert(1)</script>",
    "![x](http://evil/)",
    "`code`",
    "# head",
    "- item",
    "| a | b |",
    "\\*",
    "&lt;",
    "{{ 1 + 1 }}",
    "\ue0001\ue001",
    "```\nblock",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_never_becomes_markup(value: str) -> None:
    expected = [Text(part) for part in value.split("\n")]
    (paragraph,) = render("{{ v }}", v=value)
    assert isinstance(paragraph, Paragraph)
    assert [node for node in paragraph.c if isinstance(node, Text)] == expected
    assert render("**{{ v }}**", v="x*y") == (Paragraph((Strong((Text("x*y"),)),)),)


@given(st.text(max_size=60))
def test_whatever_a_value_is_the_structure_stays_the_authors(value: str) -> None:
    (paragraph, items) = render("a {{ v }} b\n\n- {{ v }}\n- c", v=value)
    assert isinstance(paragraph, Paragraph) and isinstance(items, Items)
    assert {type(node) for node in paragraph.c} <= {Text, text.Break}
    assert len(items.items) == 2
    raw = msgspec.json.encode((paragraph, items))
    assert msgspec.json.decode(raw, type=Tree) == (paragraph, items)


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example/",
        "/\\evil",
        "http://",
        "https://a b/",
        "vbscript:x",
    ],
)
def test_an_address_that_is_not_http_is_shown_as_text(href: str) -> None:
    (paragraph,) = render("[open]({{ url }})", url=href)
    assert paragraph == Paragraph((Text("open"), Text(f" ({href})")))


@pytest.mark.parametrize("href", ["http://localhost:8080/", "https://example.org/a?b=c#d", "/files/1"])
def test_a_good_address_is_a_link(href: str) -> None:
    assert render("[open]({{ url }})", url=href) == (Paragraph((Link(href, (Text("open"),)),)),)
    assert render(f"[open]({href})") == (Paragraph((Link(href, (Text("open"),)),)),)


def test_html_of_an_author_is_text_too() -> None:
    (paragraph,) = render("a <b>c</b>")
    assert text.plain((paragraph,)) == "a <b>c</b>"
    assert isinstance(paragraph, Paragraph) and {type(n) for n in paragraph.c} == {Text}


def test_bidi_controls_and_other_controls_are_left_out_and_lines_are_kept() -> None:
    assert render("{{ v }}", v="a\u202eb\x1b[31m\nc\u2066") == (
        Paragraph((Text("ab[31m"), text.Break(), Text("c"))),
    )


def test_lines_of_a_log_stand_in_a_block() -> None:
    assert render("```\n{{ log | lines }}\n```", log=["a", "```", "<b>"]) == (Pre("a\n```\n<b>"),)


def test_a_message_without_values_is_parsed_once() -> None:
    compiled = markdown.message("The **same** tree.")
    assert compiled.render({}) is compiled.render({})


def test_plain_words_are_paragraphs_of_text() -> None:
    assert markdown.tree("*a*\nb\n\n# c") == (
        Paragraph((Text("*a*"), text.Break(), Text("b"))),
        Paragraph((Text("# c"),)),
    )
