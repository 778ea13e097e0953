"""Sequence motifs: from JASPAR (shipped inside pyjaspar, offline) and from MEME and JASPAR text files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annatac.errors import ConfigError, InputError, MissingDependencyError, nearest
from annatac.genome.intervals import open_text

JASPAR = "JASPAR2024"  # the release taken where none is named
_DEFAULT_SITES = 20.0  # MEME's own, where a matrix does not state its number of sites


@dataclass(frozen=True, kw_only=True, eq=False)
class Motif:
    """A motif: its matrix id (``MA0139.2``), name (``CTCF``) and counts, float64 (width, 4) over A, C, G, T."""

    id: str
    name: str
    counts: npt.NDArray[np.float64]

    @property
    def width(self) -> int:
        """Length in bp."""
        return len(self.counts)

    def probabilities(self) -> npt.NDArray[np.float64]:
        """Return the share of each base at each position, float64 (width, 4), without pseudocounts."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)


def read_motifs(
    source: str | Path = JASPAR,
    *,
    names: Sequence[str] | None = None,
    tax_group: str | Sequence[str] | None = "vertebrates",
    collection: str = "CORE",
) -> list[Motif]:
    """Return the motifs of a JASPAR release, or of a file in MEME or JASPAR format.

    Parameters
    ----------
    source
        ``'JASPAR2024'`` or another release in pyjaspar, or the path of a file (plain or gzipped).
    names
        Only those with these names or ids (``'CTCF'``, ``'MA0139.2'``, ``'MA0139'``), case ignored. A name
        may have several matrices: all are returned.
    tax_group, collection
        Which part of JASPAR; files are read whole.

    Raises
    ------
    ConfigError
        An unknown release or motif; the nearest is offered.
    InputError
        The file holds no motif, or a matrix that is none (file and line are named).
    MissingDependencyError
        JASPAR is asked for and pyjaspar is not installed.
    """
    if Path(source).is_file() or "/" in str(source) or Path(source).suffix:
        motifs = _read_file(Path(source))
    else:
        motifs = _read_jaspar(str(source), tax_group, collection)
    return motifs if names is None else choose_motifs(motifs, names)


def choose_motifs(motifs: Sequence[Motif], names: Sequence[str]) -> list[Motif]:
    """Return the motifs with these names or ids, in the order of the names.

    Raises
    ------
    ConfigError
        There is none of that name; the nearest is offered.
    """
    chosen: dict[int, Motif] = {}
    for name in [names] if isinstance(names, str) else names:
        wanted = name.casefold()
        found = {
            i: motif
            for i, motif in enumerate(motifs)
            if wanted in (motif.name.casefold(), motif.id.casefold(), motif.id.split(".")[0].casefold())
        }
        if not found:
            upper = {known.casefold(): known for motif in motifs for known in (motif.id, motif.name)}
            hint = nearest(wanted, upper)
            for folded, known in upper.items():
                hint = hint.replace(f"'{folded}'", f"'{known}'")
            raise ConfigError(f"There is no motif '{name}' among {len(motifs):,}.{hint}")
        chosen.update(found)
    return list(chosen.values())


def _read_jaspar(release: str, tax_group: str | Sequence[str] | None, collection: str) -> list[Motif]:
    try:
        import pyjaspar
    except ImportError as error:
        raise MissingDependencyError(
            "JASPAR motifs need pyjaspar, which is not installed. Install it with: pip install "
            "'annatac[motif]', or give a file of motifs in MEME format."
        ) from error
    known = list(pyjaspar.jaspar_releases)
    if release not in known:
        raise ConfigError(
            f"'{release}' is neither a file nor a JASPAR release.{nearest(release.upper(), known)} Releases in "
            f"this pyjaspar: {', '.join(known)}."
        )
    groups = [tax_group] if isinstance(tax_group, str) else tax_group
    found = pyjaspar.jaspardb(release=release).fetch_motifs(collection=collection, tax_group=groups)
    motifs = [
        Motif(
            id=str(motif.matrix_id),
            name=str(motif.name),
            counts=np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64).T,
        )
        for motif in found or []
    ]
    if not motifs:
        raise ConfigError(f"{release} has no motif of tax group {tax_group!r} in collection '{collection}'.")
    return motifs


def _read_file(path: Path) -> list[Motif]:
    with open_text(path) as handle:
        lines = [line.strip() for line in handle]
    is_meme = any(line.startswith("MOTIF") for line in lines)
    motifs = _parse_meme(path, lines) if is_meme else _parse_jaspar(path, lines)
    if not motifs:
        raise InputError(
            f"{path} holds no motif. Expected MEME ('MOTIF' lines) or JASPAR ('>' lines) format."
        )
    return motifs


def _parse_meme(path: Path, lines: list[str]) -> list[Motif]:
    motifs: list[Motif] = []
    title: list[str] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.startswith("MOTIF"):
            title = line.split()[1:]
            if not title:
                raise InputError(f"{path}, line {i + 1}: a motif without a name. Expected 'MOTIF id [name]'.")
        elif line.startswith("ALPHABET") and not re.search(r"ACGT|DNA", line):
            raise InputError(f"{path}, line {i + 1}: {line!r}. Only DNA motifs (ALPHABET= ACGT) can be used.")
        elif line.startswith("letter-probability matrix") and title:
            stated = dict(re.findall(r"(\w+)\s*=\s*([0-9.eE+-]+)", line))
            n_sites = float(stated.get("nsites", _DEFAULT_SITES)) or _DEFAULT_SITES
            rows: list[list[float]] = []
            first = i + 1
            while first + len(rows) < len(lines) and re.match(r"[0-9.\-+]", lines[first + len(rows)]):
                rows.append(_numbers(path, first + len(rows), lines[first + len(rows)]))
            width = int(stated.get("w", len(rows)))
            if not rows or len(rows) != width:
                raise InputError(
                    f"{path}, line {i + 1}: motif '{title[0]}' has {len(rows)} rows, w= {width} is stated."
                )
            motifs.append(_motif(path, i, title, np.array(rows), n_sites))
            i = first + len(rows) - 1
        i += 1
    return motifs


def _parse_jaspar(path: Path, lines: list[str]) -> list[Motif]:
    motifs: list[Motif] = []
    for i, line in enumerate(lines):
        if not line.startswith(">"):
            continue
        rows = [re.sub(r"^[ACGTacgt]\b|[\[\]]", " ", text) for text in lines[i + 1 : i + 5]]
        values = [[float(x) for x in re.findall(r"[0-9.eE+-]+", row)] for row in rows]
        if len(values) != 4 or not values[0] or len({len(row) for row in values}) != 1:
            raise InputError(
                f"{path}, line {i + 1}: '{line}' is not followed by 4 rows (A, C, G, T) of counts."
            )
        motifs.append(_motif(path, i, line[1:].split(), np.array(values).T, None))
    return motifs


def _numbers(path: Path, i: int, line: str) -> list[float]:
    try:
        row = [float(x) for x in line.split()]
    except ValueError:
        row = []
    if len(row) != 4:
        raise InputError(f"{path}, line {i + 1}: {line[:60]!r}. Expected 4 numbers: A, C, G, T.")
    return row


def _motif(
    path: Path, i: int, title: list[str], values: npt.NDArray[np.float64], n_sites: float | None
) -> Motif:
    total = values.sum(axis=1)
    if (values < 0).any() or (total <= 0).any() or (n_sites and np.abs(total - 1).max() > 0.05):
        raise InputError(
            f"{path}, line {i + 1}: the matrix of '{' '.join(title)}' has negative values or rows that do not "
            "sum to 1 (MEME) or to a positive number."
        )
    counts = values if n_sites is None else values / total[:, None] * n_sites
    return Motif(id=title[0], name=title[1] if len(title) > 1 else title[0], counts=counts)
