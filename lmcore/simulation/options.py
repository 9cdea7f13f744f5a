"""Options of a simulated population: checked with one clear line, drawn with one rule."""

import dataclasses
import difflib
import math
import numbers
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.special import ndtr, ndtri

from lmcore.errors import InputError

Range = tuple[float, float]

# A range spans this many standard deviations each side of its middle.
RANGE_DEVIATIONS = 2.0


def read_options(defaults, options: Mapping[str, object], population: str):
    """The defaults of a population with a user's options put over them.

    Arguments:
        defaults: an instance of the population's frozen dataclass of options. A whole number, a
            number, a range (low, high), a size (height, width) or (depth, height, width), or a
            mapping of such values.
        options: what the user gave, a subset of the dataclass's fields; a mapping is merged over
            the default's, everything else replaces it.
        population: the name of the population, for messages.
    Returns:
        a new instance of the dataclass.
    Raises:
        InputError: for an unknown option (names the nearest known one) or a value of another
            kind than the default's.
    """
    known = [field.name for field in dataclasses.fields(defaults)]
    changes = {}
    for name, value in options.items():
        require_known(name, known, f"option of the simulated population {population}")
        changes[name] = _read(getattr(defaults, name), value, f"{population}: {name}")
    return dataclasses.replace(defaults, **changes)


def require_known(name: str, known: Iterable[str], what: str) -> None:
    """Raise InputError if `name` is not among `known`; the message names the nearest one."""
    known = list(known)
    if name in known:
        return
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
    raise InputError(f"{name} is no {what}; the nearest known one is {nearest[0]}")


def draw(random: np.random.Generator, low_high: Range) -> float:
    """A normal deviate around the middle of a range, truncated at its ends.

    The ends are two standard deviations from the middle. One uniform number is used, whatever
    the range, so that another range moves the value but no later draw.
    """
    low, high = low_high
    tail = ndtr(-RANGE_DEVIATIONS)
    deviate = ndtri(tail + random.random() * (1.0 - 2.0 * tail)) / RANGE_DEVIATIONS
    return float((low + high) / 2.0 + deviate * (high - low) / 2.0)


def _read(default, value, where: str):
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a mapping, not {value!r}")
        merged = dict(default)
        for name, entry in value.items():
            require_known(name, default, f"key of {where}")
            merged[name] = _read(default[name], entry, f"{where}.{name}")
        return merged
    if isinstance(default, tuple):
        return _read_several(default, value, where)
    return _read_number(default, value, where)


def _read_several(default: tuple, value, where: str) -> tuple:
    if not isinstance(value, (list, tuple)) or len(value) != len(default):
        count = {2: "two", 3: "three"}[len(default)]
        raise InputError(f"{where} must be {count} numbers, as in {list(default)}, not {value!r}")
    several = tuple(_read_number(one, new, where) for one, new in zip(default, value, strict=True))
    is_size = all(isinstance(entry, int) for entry in default)
    if not is_size and several[0] > several[1]:
        raise InputError(f"{where} must be a range from low to high, not {list(several)}")
    return several


def _read_number(default, value, where: str):
    is_number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not is_number or not math.isfinite(value):
        raise InputError(f"{where} must be a number, as in {default}, not {value!r}")
    if isinstance(default, int):
        if value != int(value) or value < 0:
            raise InputError(f"{where} must be a whole number, zero or more, not {value!r}")
        return int(value)
    return float(value)
