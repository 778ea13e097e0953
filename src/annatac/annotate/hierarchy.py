"""Answers that are as exact as is safe: a type where its probability is enough, else an ancestor of it.

The probability of an ancestor is the sum of the probabilities of the types below it. Everything is a function
of one cell's probabilities.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annatac.annotate import ontology
from annatac.errors import InputError, LabelError, MissingFileError, nearest
from annatac.genome.intervals import open_text

CELL_ONTOLOGY = "cell-ontology"
ROOT = "cell"
NONE = "none"

Bools = npt.NDArray[np.bool_]
Parents = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """The ancestors of C types, nearest first, the root last.

    Attributes
    ----------
    source
        'cell-ontology', or the name of the user's file.
    classes
        The C types.
    class_ids
        Their Cell Ontology ids, '' where none is known.
    names, ids
        The A ancestors that more than one type is below of, fewest types first; of several with the same types
        only the lowest is kept. The last is the root, 'cell'. ``ids`` are '' in a user's own tree.
    members
        bool (A, C): the types below each ancestor.
    """

    source: str
    classes: list[str]
    class_ids: list[str]
    names: list[str]
    ids: list[str]
    members: Bools

    @property
    def unmatched(self) -> list[str]:
        """The types without a Cell Ontology term."""
        return [name for name, one in zip(self.classes, self.class_ids, strict=True) if not one]

    def safe_labels(self, probabilities: npt.ArrayLike, safe_level: float) -> npt.NDArray[np.object_]:
        """Return the best type of each cell, or the nearest of its ancestors that is probable enough.

        Parameters
        ----------
        probabilities
            Calibrated, float (n, C), rows sum to 1.
        safe_level
            The probability that an answer must have: 1 minus the error rate that is wished. The root always
            has it.

        Returns
        -------
        object (n,): names of types and ancestors. Nearest is the ancestor with the fewest types below.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        best = p.argmax(1)
        answer = np.full(len(p), self.names[-1], dtype=object)
        summed = p @ self.members.T
        holds = self.members[:, best].T & (summed >= safe_level - 1e-9)
        holds[:, -1] = True
        answer[:] = np.array(self.names, dtype=object)[holds.argmax(1)]
        sure = p[np.arange(len(p)), best] >= safe_level
        answer[sure] = np.array(self.classes, dtype=object)[best[sure]]
        return answer

    def types_of(self) -> dict[str, Bools]:
        """Return the types that each possible answer stands for, bool (C,).

        Where a type has the name of an ancestor ('T cell' beside 'CD4 T'), the name stands for the ancestor.
        """
        own = dict(zip(self.classes, np.eye(len(self.classes), dtype=bool), strict=True))
        return own | dict(zip(self.names, self.members, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the model folder keeps them."""
        return {
            "source": self.source,
            "ancestors": [
                {"name": name, "id": one, "types": [self.classes[i] for i in np.flatnonzero(row)]}
                for name, one, row in zip(self.names, self.ids, self.members, strict=True)
            ],
        }

    def to_uns(self) -> dict[str, Any]:
        """Return arrays, as annotated cells keep them in ``uns['annatac']['hierarchy']``."""
        return {
            "source": self.source,
            "class_ids": np.array(self.class_ids, dtype=str),
            "names": np.array(self.names, dtype=str),
            "ids": np.array(self.ids, dtype=str),
            "members": self.members,
        }

    @classmethod
    def from_uns(cls, content: Mapping[str, Any], classes: Sequence[str]) -> Hierarchy:
        """Return what :meth:`to_uns` wrote.

        Raises
        ------
        InputError
            It does not fit the types.
        """
        members = np.asarray(content["members"], dtype=bool)
        names = [str(name) for name in content["names"]]
        if members.shape != (len(names), len(classes)):
            raise InputError(
                f"uns['annatac']['hierarchy'] has {members.shape[0]} x {members.shape[-1]} entries for {len(names)} "
                f"ancestors and {len(classes)} types. Annotate the cells again."
            )
        return cls(
            source=str(content["source"]),
            classes=[str(name) for name in classes],
            class_ids=[str(one) for one in content["class_ids"]],
            names=names,
            ids=[str(one) for one in content["ids"]],
            members=members,
        )

    @classmethod
    def from_dict(
        cls, content: dict[str, Any], classes: Sequence[str], class_ids: Sequence[str]
    ) -> Hierarchy:
        """Return what :meth:`to_dict` wrote."""
        rows = content["ancestors"]
        members = np.array([[name in set(row["types"]) for name in classes] for row in rows], dtype=bool)
        return cls(
            source=content["source"],
            classes=list(classes),
            class_ids=list(class_ids),
            names=[row["name"] for row in rows],
            ids=[row["id"] for row in rows],
            members=members.reshape(len(rows), len(classes)),
        )


def hierarchy_of(classes: Sequence[str], source: str | Path) -> Hierarchy | None:
    """Return the hierarchy of these types: 'cell-ontology', a user's file, or None for 'none'.

    Raises
    ------
    InputError, LabelError, MissingFileError
        See :func:`read_tree` and :func:`from_parents`.
    """
    if source == NONE:
        return None
    if source == CELL_ONTOLOGY:
        return from_ontology(classes)
    return from_parents(classes, read_tree(source), source=Path(source).name)


def from_ontology(classes: Sequence[str]) -> Hierarchy:
    """Return the ancestors of these types in the Cell Ontology; a type without a term hangs at the root."""
    ids = [ontology.match(name) for name in classes]
    above = [ontology.ancestors(one) if one is not None else frozenset({ontology.ROOT}) for one in ids]
    depths = {one: ontology.depth(one) for found in above for one in found}
    names = {one: ontology.terms()[one].name for one in depths}
    return _arranged(
        CELL_ONTOLOGY, classes, [one or "" for one in ids], above, depths, names, {one: one for one in depths}
    )


def from_parents(classes: Sequence[str], parents: Parents, *, source: str = "tree") -> Hierarchy:
    """Return the ancestors of these types in a tree of their own.

    Raises
    ------
    LabelError
        A type is not in the tree, or others are below it.
    """
    inner = {parent for some in parents.values() for parent in some}
    missing = [name for name in classes if name not in parents and name not in inner]
    if missing:
        raise LabelError(
            f"The hierarchy {source} lacks {len(missing)} of the model's {len(classes)} types: "
            f"{', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''}.{nearest(missing[0], parents)} Add a "
            "row 'child,parent' for each."
        )
    if middle := [name for name in classes if name in inner]:
        raise LabelError(
            f"The hierarchy {source} has the type '{middle[0]}' as a parent; the model's types are expected at "
            f"its leaves. Give the parent a name of its own, such as 'any {middle[0]}'."
        )
    above = [frozenset(_all_above(name, parents, source) - {name, ROOT} | {ROOT}) for name in classes]
    every = {one for found in above for one in found}
    depths = {one: len(_all_above(one, parents, source)) for one in every - {ROOT}} | {ROOT: 0}
    return _arranged(
        source,
        classes,
        [ontology.match(name) or "" for name in classes],
        above,
        depths,
        {one: one for one in every},
        dict.fromkeys(every, ""),
    )


def read_tree(path: str | Path) -> dict[str, list[str]]:
    """Return the parents of every child in a CSV or TSV of two columns, child and parent.

    A header 'child,parent' may stand first; a child may have several parents; an empty parent is the root.

    Raises
    ------
    MissingFileError, InputError
        No such file; no such table; a circle.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(
            f"No hierarchy at {path}. Give 'cell-ontology', 'none', or a CSV or TSV with the columns child and "
            "parent."
        )
    with open_text(path) as file:
        lines = [line.rstrip("\r\n").removeprefix("\ufeff") for line in file]
    tab = any("\t" in line for line in lines)
    parents: dict[str, list[str]] = {}
    for number, row in enumerate(csv.reader(lines, delimiter="\t" if tab else ","), start=1):
        fields = [field.strip() for field in row]
        if not any(fields) or (number == 1 and [field.lower() for field in fields] == ["child", "parent"]):
            continue
        if len(fields) != 2 or not fields[0]:
            raise InputError(
                f"{path}, line {number}: found {len(fields)} columns in '{lines[number - 1]}'; two are expected, "
                "child and parent."
            )
        known = parents.setdefault(fields[0], [])
        if fields[1] and fields[1] not in known:
            known.append(fields[1])
    if not parents:
        raise InputError(f"{path} is empty; rows of child and parent are expected.")
    for child in parents:
        _all_above(child, parents, str(path))
    return parents


def _all_above(name: str, parents: Parents, source: str) -> set[str]:
    """Return a name and all its ancestors; a circle is refused."""
    found: set[str] = set()
    stack: list[tuple[str, tuple[str, ...]]] = [(name, ())]
    while stack:
        one, way = stack.pop()
        if one in way:
            circle = " -> ".join([*way[way.index(one) :], one])
            raise InputError(f"The hierarchy {source} goes in a circle: {circle}. Take one of its rows out.")
        found.add(one)
        stack.extend((parent, (*way, one)) for parent in parents.get(one, ()))
    return found


def _arranged(
    source: str,
    classes: Sequence[str],
    class_ids: list[str],
    above: list[frozenset[str]],
    depths: dict[str, int],
    names: dict[str, str],
    ids: dict[str, str],
) -> Hierarchy:
    """Keep of all ancestors those that say something: more than one type below, the lowest of equals."""
    root = next(one for one in depths if depths[one] == 0)
    rows: dict[bytes, tuple[str, Bools]] = {}
    for one in sorted(depths, key=lambda one: (-depths[one], one)):
        row = np.array([one in found for found in above])
        if one != root and 1 < row.sum() < len(classes):
            rows.setdefault(row.tobytes(), (one, row))
    kept = sorted(rows.values(), key=lambda pair: (int(pair[1].sum()), -depths[pair[0]], pair[0]))
    kept.append((root, np.ones(len(classes), dtype=bool)))
    return Hierarchy(
        source=source,
        classes=list(classes),
        class_ids=class_ids,
        names=[names[one] for one, _ in kept],
        ids=[ids[one] for one, _ in kept],
        members=np.array([row for _, row in kept]),
    )
