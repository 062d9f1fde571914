"""Places for numbers of any size and sign, so that answers of every model can be counted without knowing their scale.

A place is an eighth of an octave: from one power of two to the next there are `PARTS` of the same width. What is smaller than
any, and zero, has one place in the middle; negative numbers have theirs below it, mirrored.
"""

from __future__ import annotations

from math import frexp, ldexp
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

PARTS: Final = 8
LOWEST: Final = -20
HIGHEST: Final = 40
"""Powers of two: from a millionth to a million millions. What is larger counts as the largest."""
ZERO: Final = (HIGHEST - LOWEST) * PARTS
"""The place in the middle."""
PLACES: Final = 2 * ZERO + 1
LARGEST: Final = 2.0**HIGHEST


def place(value: float) -> int:
    """Where a finite number is counted, from 0 to `PLACES` - 1."""
    mantissa, exponent = frexp(value)  # value = mantissa * 2**exponent, with a mantissa from 0.5 to 1
    if exponent <= LOWEST or not mantissa:
        return ZERO
    if exponent > HIGHEST:
        return PLACES - 1 if value > 0 else 0
    step = (exponent - LOWEST - 1) * PARTS + int((abs(mantissa) - 0.5) * (2 * PARTS)) + 1
    return ZERO + step if value > 0 else ZERO - step


def places(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """`place` of many."""
    mantissas, exponents = np.frexp(np.clip(values, -LARGEST, LARGEST))
    steps = (exponents.astype(np.int64) - LOWEST - 1) * PARTS + ((np.abs(mantissas) - 0.5) * (2 * PARTS)).astype(np.int64) + 1
    steps = np.where((exponents <= LOWEST) | (mantissas == 0), 0, np.minimum(steps, ZERO))
    return ZERO + np.where(values > 0, steps, -steps)


def lower(place: int) -> float:
    """Where a place begins; it ends where the next one does. The end nearer to zero is part of it, the other is not."""
    if place > ZERO:
        octave, part = divmod(place - ZERO - 1, PARTS)
        return ldexp(0.5 + part / (2 * PARTS), octave + LOWEST + 1)
    octave, part = divmod(ZERO - place, PARTS)
    return -ldexp(0.5 + part / (2 * PARTS), octave + LOWEST + 1)
