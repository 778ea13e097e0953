"""File names for names that are data: ``CMP/LMPP`` is a cell type, never a path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MAX_LENGTH = 60
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


def safe_names(names: Sequence[str]) -> list[str]:
    """Return one file name (without ending) for each name, all different, whatever the system's rules.

    Letters, digits, ``.``, ``-`` and ``+`` stay, anything else becomes ``_``; names that would then be the
    same, upper and lower case not told apart, get ``_2``, ``_3``, ... in their order.
    """
    result: list[str] = []
    taken: set[str] = set()
    for name in names:
        plain = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
        slug = re.sub(r"[^A-Za-z0-9.+-]+", "_", plain).strip("._-")[:_MAX_LENGTH] or "type"
        if slug.split(".")[0].lower() in _RESERVED:
            slug = f"{slug}_"
        unique, n = slug, 2
        while unique.lower() in taken:
            unique, n = f"{slug}_{n}", n + 1
        taken.add(unique.lower())
        result.append(unique)
    return result
