"""Histogram bins for numbers of any size and sign, so that answers of every model can be counted without knowing their scale.

Each range from one power of two to the next is divided into `PARTS` bins of equal width. Zero, and numbers whose size is below
the smallest such range, share one bin in the middle. The bins of negative numbers lie below it, mirrored. `place` is the index
of a bin.
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
"""Exponents of two: from a millionth to 10^12. Larger numbers are counted in the last bin."""
ZERO: Final = (HIGHEST - LOWEST) * PARTS
"""Index of the bin in the middle."""
PLACES: Final = 2 * ZERO + 1
LARGEST: Final = 2.0**HIGHEST


def place(value: float) -> int:
    """Returns the index of the bin of a finite number, from 0 to `PLACES` - 1."""
    mantissa, exponent = frexp(value)  # value = mantissa * 2**exponent, with 0.5 <= |mantissa| < 1
    if exponent <= LOWEST or not mantissa:
        return ZERO
    if exponent > HIGHEST:
        return PLACES - 1 if value > 0 else 0
    step = (exponent - LOWEST - 1) * PARTS + int((abs(mantissa) - 0.5) * (2 * PARTS)) + 1
    return ZERO + step if value > 0 else ZERO - step


def places(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Returns `place` of each value."""
    mantissas, exponents = np.frexp(np.clip(values, -LARGEST, LARGEST))
    steps = (exponents.astype(np.int64) - LOWEST - 1) * PARTS + ((np.abs(mantissas) - 0.5) * (2 * PARTS)).astype(np.int64) + 1
    steps = np.where((exponents <= LOWEST) | (mantissas == 0), 0, np.minimum(steps, ZERO))
    return ZERO + np.where(values > 0, steps, -steps)


def lower(place: int) -> float:
    """Returns the lower bound of a bin; its upper bound is the lower bound of the next bin.

    The bound nearer to zero belongs to the bin, the other bound does not.
    """
    if place > ZERO:
        octave, part = divmod(place - ZERO - 1, PARTS)
        return ldexp(0.5 + part / (2 * PARTS), octave + LOWEST + 1)
    octave, part = divmod(ZERO - place, PARTS)
    return -ldexp(0.5 + part / (2 * PARTS), octave + LOWEST + 1)
