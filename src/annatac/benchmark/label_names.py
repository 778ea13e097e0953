"""Names of types that are probably one: the same but for case, spaces or a slip of the pen."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

from annatac.errors import AnnatacWarning

_SEPARATORS = re.compile(r"[\s_.]+|-(?=\w)")  # a '-' at the end is a sign: CD4- is no CD4
_DIGITS = re.compile(r"\d+")


def likely_same(names: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different names (one of ``names``, one of ``others``) that are probably one type.

    They are the same but for case and separators ('B cell', 'b_cell'), or, from five letters on and with the same
    numbers and signs, for two letters swapped or one left out ('Microglia', 'Microgila'). A letter exchanged for
    another is a difference: 'proB cell' and 'preB cell' are two types.
    """
    pairs = []
    for name in dict.fromkeys(names):
        for other in dict.fromkeys(others):
            if name == other:
                continue
            a, b = (_SEPARATORS.sub("", text.casefold()) for text in (name, other))
            if a == b or (_fixed(a) == _fixed(b) and _alike(a, b)):
                pairs.append((name, other))
    return pairs


def warn_of_likely_same(reference: Iterable[str], query: Iterable[str]) -> None:
    """Warn of names within the reference, and between reference and query, that are probably one type.

    They stay different types: the query's count as absent from the reference.
    """
    reference, query = sorted(set(reference)), sorted(set(query))
    within = [(a, b) for a, b in likely_same(reference, reference) if a < b]
    between = likely_same([name for name in query if name not in reference], reference)
    for pairs, where in ((within, "in the reference"), (between, "in query and reference")):
        if pairs:
            shown = "; ".join(f"'{a}' and '{b}'" for a, b in pairs[:5])
            warnings.warn(
                f"Types whose names differ only in case or spelling {where}: {shown}. They are taken as different "
                "types: rename one of each pair if they are the same.",
                AnnatacWarning,
                stacklevel=3,
            )


def _fixed(name: str) -> tuple[list[str], list[str]]:
    return _DIGITS.findall(name), re.findall(r"[+-]", name)


def _alike(a: str, b: str) -> bool:
    """Return whether two letters are swapped, or one is left out."""
    short, long = sorted((a, b), key=len)
    if len(short) < 5:
        return False
    if len(short) == len(long):
        off = [i for i in range(len(a)) if a[i] != b[i]]
        return len(off) == 2 and off[1] == off[0] + 1 and a[off[0]] == b[off[1]] and a[off[1]] == b[off[0]]
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
