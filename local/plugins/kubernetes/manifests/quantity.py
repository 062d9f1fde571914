"""Spells quantities as the API server does: `1024Mi` is `1Gi`, `0.5` is `500m`. Another spelling would be a permanent diff."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

_SHAPE: Final = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?$")
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_EXPONENT: Final = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_NANO: Final = Decimal("1e-9")
_KIBI: Final = 1024


def canonical(value: str | float) -> str | None:
    """Returns the canonical spelling of a quantity, or None if `value` is not a quantity."""
    match = _SHAPE.match(str(value).strip())
    if match is None:
        return None
    try:
        number = Decimal(match[1])
    except InvalidOperation:
        return None
    if match[2]:
        return _binary(number * _KIBI ** _BINARY.index(match[2]))
    if match[4]:
        return _exponential(number, int(match[4]))
    return _decimal(number.scaleb(_EXPONENT[match[3] or ""]))


def _round_up(number: Decimal) -> Decimal:
    """Rounds to whole billionths, away from zero, because a quantity has no higher precision."""
    whole = (number / _NANO).to_integral_value(rounding="ROUND_UP")
    return whole * _NANO


def _binary(number: Decimal) -> str:
    if number != number.to_integral_value():
        return _decimal(number)
    whole, power = int(number), 0
    while whole and whole % _KIBI == 0 and power < len(_BINARY) - 1:
        whole, power = whole // _KIBI, power + 1
    return f"{whole}{_BINARY[power]}"


def _largest(number: Decimal) -> tuple[int, int]:
    """Returns the mantissa and the exponent: the largest multiple of three for which the mantissa is a whole number."""
    number = _round_up(number)
    exponent = -9
    whole = int(number.scaleb(9))
    while whole and whole % 1000 == 0 and exponent < max(_DECIMAL):
        whole, exponent = whole // 1000, exponent + 3
    return (whole, exponent) if whole else (0, 0)


def _decimal(number: Decimal) -> str:
    whole, exponent = _largest(number)
    return f"{whole}{_DECIMAL[exponent]}"


def _exponential(number: Decimal, exponent: int) -> str:
    whole, power = _largest(number.scaleb(exponent))
    return f"{whole}e{power}" if power else f"{whole}"
