"""Builds HTML and SVG. All text is escaped unless it is an `Html` object, so data from outside cannot become markup."""

from __future__ import annotations

import html
import unicodedata

VOID = frozenset({"meta", "link", "br"})


class Html(str):
    """Markup, as returned by `element`."""

    __slots__ = ()


Content = Html | str | None
Attribute = str | int | float | bool | None


def element(name: str, /, *children: Content, **attributes: Attribute) -> Html:
    """Returns an element.

    Args:
        name: the name of the tag.
        children: markup, or text that is escaped; None is omitted.
        attributes: the attributes; `class_` becomes `class`, `stroke_width` becomes `stroke-width`. True gives an attribute
            without a value; attributes with None or False are omitted.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Content) -> Html:
    """Returns the children as one piece of markup. Text is escaped; None is omitted."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child is not None))


def escape(text: str) -> Html:
    """Returns the escaped text as markup."""
    return Html(html.escape(readable(text)))


def readable(text: str) -> str:
    """Replaces characters that hide or reverse other text (control characters, direction marks) with a visible sign."""
    return "".join("�" if _is_deceptive(character) else character for character in text)


def data(value: float, text: str) -> Html:
    """Returns a formatted figure. Its value attribute and its tooltip contain the value with six significant digits."""
    return element("data", text, value=f"{value:.6g}", title=f"{value:.6g}")


def _is_deceptive(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in "\n\t"


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
