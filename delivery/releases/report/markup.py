"""HTML and SVG, built so that nothing that comes from outside can become markup: text is escaped unless it is `Html`."""

from __future__ import annotations

import html
import unicodedata

VOID = frozenset({"meta", "link", "br"})


class Html(str):
    """Markup, made by `element`."""

    __slots__ = ()


Content = Html | str | None
Attribute = str | int | float | bool | None


def element(name: str, /, *children: Content, **attributes: Attribute) -> Html:
    """An element.

    Args:
        name: of the tag.
        children: markup, or text to be escaped; None is left out.
        attributes: `class_` is `class`, `stroke_width` is `stroke-width`; True is an attribute without a value, None and False
            are left out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Content) -> Html:
    """Markup and text, one after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child is not None))


def escape(text: str) -> Html:
    """Text as markup that shows it."""
    return Html(html.escape(readable(text)))


def readable(text: str) -> str:
    """Text without what hides or turns other text: control characters and marks of direction become a visible sign."""
    return "".join("�" if _hides(character) else character for character in text)


def data(value: float, text: str) -> Html:
    """A figure to read, and the exact one for whoever copies it or points at it."""
    return element("data", text, value=f"{value:.6g}", title=f"{value:.6g}")


def _hides(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in "\n\t"


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
