"""Where a universe's peaks lie on another assembly: a small table, so that cells there need no chain file."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from annatac.errors import InputError, ModelError
from annatac.genome.assemblies import genome_label
from annatac.genome.chroms import is_standard
from annatac.genome.liftover import Liftover
from annatac.io.atomic import atomic_path
from annatac.pp.universe import Universe

COLUMNS = ("chrom", "position", "strand")


def find_places(universe: Universe, liftover: Liftover) -> pd.DataFrame:
    """Return where the midpoints of a universe's peaks, or of its islands, lie on the liftover's target.

    Parameters
    ----------
    universe
        Of a model.
    liftover
        From the universe's assembly to the other one.

    Returns
    -------
    One row for each peak of ``universe.member_peaks()``, in their order, or for each island where bins were counted:
    ``chrom`` ('' where it has no counterpart on a standard chromosome), ``position`` (int64, bp, 0-based; -1 there),
    ``strand`` (1, or -1 where the sequence is turned).

    Raises
    ------
    InputError
        The islands have no coordinates, or none of them has a counterpart.
    """
    points = _points(universe)
    chrom, position, strand = liftover.positions(points["chrom"], points["position"])
    found = (position >= 0) & is_standard(chrom)
    if not found.any():
        raise InputError(
            f"None of the model's {len(points):,} {of_what(universe)} has a counterpart in {liftover.target}. Is the "
            f"model on {liftover.source}?"
        )
    return pd.DataFrame(
        {
            "chrom": np.where(found, chrom, "").astype(object),
            "position": np.where(found, position, -1),
            "strand": np.where(found, strand, 1),
        }
    )


def liftover_by(universe: Universe, places: pd.DataFrame, genome: str) -> Liftover:
    """Return the way from ``genome``, where the universe's peaks have these places, to the universe's assembly.

    Raises
    ------
    ModelError
        The places are not those of the universe.
    """
    points = _points(universe)
    if len(points) != len(places):
        raise ModelError(
            f"The model has {len(places):,} places on {genome}, and {len(points):,} {of_what(universe)}: its folder "
            "mixes two models. Copy it again."
        )
    assert universe.genome is not None
    pairs = pd.DataFrame(
        {
            "chrom": places["chrom"].to_numpy(dtype=object),
            "position": places["position"].to_numpy(np.int64),
            "to_chrom": points["chrom"].to_numpy(dtype=object),
            "to_position": points["position"].to_numpy(np.int64),
            "strand": places["strand"].to_numpy(np.int64),
        }
    )
    return Liftover.by_places(
        pairs[pairs["position"] >= 0], source=genome, target=universe.genome, means="the model's own places"
    )


def file_of(genome: str) -> str:
    """Return the name of the model folder's file of places on an assembly."""
    return f"places.{genome}.tsv.gz"


def genome_of(name: str) -> str | None:
    """Return the assembly that a file of a model folder has places on; None for another file."""
    if not (name.startswith("places.") and name.endswith(".tsv.gz")):
        return None
    return genome_label(name.removeprefix("places.").removesuffix(".tsv.gz"))


def save_places(places: pd.DataFrame, path: str | Path) -> None:
    """Write the table; the same places give the same bytes."""
    text = places.loc[:, list(COLUMNS)].to_csv(sep="\t", index=False, lineterminator="\n")
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as handle,
        gzip.GzipFile(filename="", mode="wb", fileobj=handle, mtime=0) as zipped,
    ):
        zipped.write(text.encode())


def load_places(path: str | Path) -> pd.DataFrame:
    """Read what :func:`save_places` wrote.

    Raises
    ------
    ModelError
        The file is damaged or no table of places.
    """
    path = Path(path)
    try:
        text = gzip.decompress(path.read_bytes()).decode()
        table = pd.read_csv(io.StringIO(text), sep="\t", keep_default_na=False, dtype={"chrom": str})
        if tuple(table.columns) != COLUMNS:
            raise ValueError(f"columns {', '.join(map(str, table.columns))}")
        return table.astype({"position": np.int64, "strand": np.int64})
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError, pd.errors.ParserError) as error:
        raise ModelError(f"{path} is no table of places ({error}). Copy the model folder again.") from error


def of_what(universe: Universe) -> str:
    """Return what a universe's places are of: 'peaks', or 'islands' where bins were counted."""
    return "peaks" if universe.keeps_peaks else "islands"


def _points(universe: Universe) -> pd.DataFrame:
    """Return chrom and position (bp) of the midpoints of the peaks, or of the islands where bins were counted."""
    spans: pd.DataFrame | None = universe.member_peaks()
    if spans is None and universe.has_coordinates:
        spans = pd.DataFrame({"chrom": universe.chrom, "start": universe.start, "end": universe.end})
    if spans is None:
        raise InputError(
            "The model's islands have no coordinates: where they lie on another assembly cannot be found."
        )
    return pd.DataFrame({"chrom": spans["chrom"], "position": (spans["start"] + spans["end"]) // 2})
