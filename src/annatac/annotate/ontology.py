"""The Cell Ontology's blood, cortex and tissue types, and the term that a free label stands for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

ROOT = "CL:0000000"
_TABLE = "cell_ontology.tsv"
_IGNORED = {"cell", "cells", "positive", "pos", "and", "human", "mouse"}


@dataclass(frozen=True)
class Term:
    """One type of the Cell Ontology: ``parents`` are ids of the table, the root has none."""

    id: str
    name: str
    parents: tuple[str, ...]
    synonyms: tuple[str, ...]


@cache
def terms() -> dict[str, Term]:
    """Return the bundled terms by id: 165 of the Cell Ontology's 3,600, with its ids, names and is_a.

    A parent that is not in the table is replaced by its nearest ancestors that are.
    """
    text = (resources.files("annatac.annotate") / _TABLE).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {row[0]: Term(row[0], row[1], _split(row[2]), _split(row[3])) for row in rows}


@cache
def ancestors(term_id: str) -> frozenset[str]:
    """Return the ids of a term and of all that stand above it."""
    above = (ancestors(parent) for parent in terms()[term_id].parents)
    return frozenset({term_id}).union(*above)


def match(label: str) -> str | None:
    """Return the id of the term that a free label stands for, or None.

    Tried in turn, each without regard to case, punctuation, accents and the word 'cell': the label as it
    stands (a name or a synonym of the table), without a number in front ('11_CD14.Mono'), in the singular,
    without a number at its end ('CD14.Mono.1', 'CD4.N1'). A label of two parts that each match
    ('CMP/LMPP') is their nearest common ancestor; one that is merely a 'cell' is no match.
    """
    stripped = re.sub(r"^\s*[A-Za-z]?\d+[_\s.:)-]+(?=\D)", "", label)
    for written in dict.fromkeys((label, stripped)):
        for words in _forms(written):
            if words in _known():
                return _known()[words] if _known()[words] != ROOT else None
    parts = _normal(stripped).split()
    for i in range(1, len(parts)):
        halves = [_single(" ".join(half)) for half in (parts[:i], parts[i:])]
        if all(halves):
            found = common_ancestor(half for half in halves if half is not None)
            return None if found == ROOT else found
    return None


def common_ancestor(ids: Iterable[str]) -> str:
    """Return the deepest term that stands above (or is) each of ``ids``."""
    shared = frozenset.intersection(*(ancestors(one) for one in ids))
    return max(shared, key=lambda one: (depth(one), one))


@cache
def depth(term_id: str) -> int:
    """Return the steps of the longest way up to the root."""
    return 1 + max((depth(parent) for parent in terms()[term_id].parents), default=-1)


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("|")) if text else ()


def _single(words: str) -> str | None:
    return next((_known()[form] for form in _forms(words) if form in _known()), None)


def _forms(label: str) -> list[str]:
    whole = _normal(label)
    singular = re.sub(r"(?<=\w\w)s$", "", whole)
    unnumbered = re.sub(r"\s*\d+$", "", whole)
    return [form for form in (whole, singular, unnumbered) if form]


def _normal(label: str) -> str:
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    plain = re.sub(r"(?<=\w)-(?=\s|$)", " negative ", plain)  # 'CD4- T': not a CD4 T cell
    words = re.sub(r"[^a-z0-9]+", " ", plain.lower()).split()
    return " ".join(word for word in words if word not in _IGNORED) or " ".join(words)


@cache
def _known() -> dict[str, str]:
    """Return the id of every normalised name and synonym; a name wins over another term's synonym."""
    found: dict[str, str] = {}
    for term in terms().values():
        found.setdefault(_normal(term.name), term.id)
    for term in terms().values():
        for synonym in term.synonyms:
            found.setdefault(_normal(synonym), term.id)
    return found
