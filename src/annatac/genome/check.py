"""Whether coordinates belong to the assembly that they are said to be on.

Three things betray a wrong assembly: coordinates past a chromosome's end, open chromatin that does not pile
up at transcription start sites, and a mean profile that does not follow that of a model on the right one.
`perf/assembly_check.py` prints what each of them measures on real data, right and wrong; the constants below
stand between the two.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, AssemblyError
from annatac.genome.annotation import as_genes
from annatac.genome.assemblies import KNOWN, canonical, chrom_lengths, genome_label
from annatac.genome.chroms import is_standard, to_ucsc
from annatac.genome.intervals import overlaps_any

TSS_WINDOW_BP = 1000
CONTROL_SHIFTS_BP = (-300_000, -150_000, 150_000, 300_000)
MAX_SHARE_PAST_END = 1e-3  # right 0; wrong 3e-3 and more, but 0 where only chr12 and chr21 are measured
MIN_ENRICHMENT = (
    2.3  # times at start sites: right 6.6 (peaks), 2.9 (5-kb islands) and more; wrong 2.0 and less
)
NO_ENRICHMENT = 1.2  # refused even where no other genes are given: as if there were no start sites
MIN_FEATURES = 300  # fewer say too little about start sites
FOREIGN_CORRELATION = 0.10  # right 0.13 and more; wrong mostly under 0.10, none over 0.17 in 20,000 islands
DOUBTFUL_CORRELATION = 0.18
Z_99 = 2.576

GeneTables = Mapping[str, "str | Path | pd.DataFrame"]


@dataclass(frozen=True, kw_only=True)
class AssemblyReport:
    """What is known of the assembly of n features.

    Attributes
    ----------
    stated
        Canonical name, the path of a chromosome-lengths file, or None.
    n_features
        Features on standard chromosomes.
    n_past_end
        By assembly: features that start past the end of their chromosome, or whose chromosome it lacks.
    fits
        Assemblies with no such feature.
    tss_share, tss_enrichment
        By assembly with genes: share of the openness within 1 kb of a start site, 0..1; and how many times
        that is the share around sites 150 and 300 kb away (1: no more than anywhere near genes).
    likely
        The assembly that the evidence points to, or None.
    """

    stated: str | None
    n_features: int
    n_past_end: dict[str, int]
    fits: tuple[str, ...]
    tss_share: dict[str, float] = field(default_factory=dict)
    tss_enrichment: dict[str, float] = field(default_factory=dict)
    likely: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProfileCorrelation:
    """Correlation of a query's mean openness with a model's, over n islands that both have.

    ``upper`` is the upper 99 % confidence limit of ``r``. With few islands it is high, and nothing is said to
    be foreign or doubtful.
    """

    r: float
    upper: float
    n_islands: int

    @property
    def foreign(self) -> bool:
        """Whether the two profiles cannot be of one assembly."""
        return self.upper < FOREIGN_CORRELATION

    @property
    def doubtful(self) -> bool:
        """Whether the two profiles agree so little that the user should look at the assembly."""
        return self.upper < DOUBTFUL_CORRELATION


def check_assembly(
    intervals: pd.DataFrame,
    *,
    openness: npt.ArrayLike | None = None,
    genome: str | None = None,
    genes_by_assembly: GeneTables | None = None,
) -> AssemblyReport:
    """Return what the coordinates say about their assembly; a clear mismatch with the stated one is an error.

    Parameters
    ----------
    intervals
        chrom, start, end of n features (peaks or bins).
    openness
        n numbers: how open each is, for example the sum of its counts. Without it every feature weighs alike.
    genome
        The stated assembly, or a chromosome-lengths file; None: only report.
    genes_by_assembly
        Genes (paths or tables, see :func:`annatac.genome.annotation.read_genes`) of one assembly or several.

    Raises
    ------
    AssemblyError
        The stated assembly is clearly wrong; the message names the likely one.
    """
    stated = None if genome is None else canonical(genome)
    table = intervals.assign(chrom=to_ucsc(intervals["chrom"]))
    usable = is_standard(table["chrom"]) & (table["start"].to_numpy() >= 0)
    weight = np.ones(len(table)) if openness is None else np.asarray(openness, dtype=np.float64)
    table, weight = table[usable].reset_index(drop=True), weight[usable]

    past = {name: _past_end(table, name) for name in dict.fromkeys([*KNOWN, *([stated] if stated else [])])}
    limit = MAX_SHARE_PAST_END * len(table)
    fits = tuple(name for name, rows in past.items() if len(rows) <= limit)
    share: dict[str, float] = {}
    enrichment: dict[str, float] = {}
    for name, genes in (genes_by_assembly or {}).items():
        label = canonical(name)
        share[label], enrichment[label] = tss_openness(table, weight, as_genes(genes))
    report = AssemblyReport(
        stated=stated,
        n_features=len(table),
        n_past_end={name: len(rows) for name, rows in past.items()},
        fits=fits,
        tss_share=share,
        tss_enrichment=enrichment,
        likely=_likely(fits, enrichment, len(table)),
    )
    if stated is not None and len(table):
        _refuse_past_end(report, table, past[stated])
        _refuse_tss(report)
    return report


def tss_openness(
    intervals: pd.DataFrame, openness: npt.NDArray[np.float64], genes: pd.DataFrame
) -> tuple[float, float]:
    """Return the share of the openness in features within 1 kb of a start site, and its enrichment.

    A feature is near a start site when its midpoint is within 1 kb, or when it holds the site (bins). The
    enrichment compares with the same sites moved by 150 and 300 kb up and down.
    """
    total = float(openness.sum())
    if not total:
        return 0.0, 0.0
    chrom = to_ucsc(genes["chrom"])
    middle = (intervals["start"].to_numpy() + intervals["end"].to_numpy()) // 2
    around = pd.DataFrame(
        {
            "chrom": intervals["chrom"],
            "start": np.minimum(middle - TSS_WINDOW_BP, intervals["start"]),
            "end": np.maximum(middle + TSS_WINDOW_BP + 1, intervals["end"]),
        }
    )
    wide = (intervals["end"] - intervals["start"]).to_numpy() > 2 * TSS_WINDOW_BP
    around.loc[~wide, "start"] = (middle - TSS_WINDOW_BP)[~wide]
    around.loc[~wide, "end"] = (middle + TSS_WINDOW_BP + 1)[~wide]

    def share(shift: int) -> float:
        tss = genes["tss"].to_numpy() + shift
        sites = pd.DataFrame({"chrom": chrom, "start": tss, "end": tss + 1})
        return float(openness[overlaps_any(around, sites)].sum()) / total

    here = share(0)
    elsewhere = float(np.mean([share(shift) for shift in CONTROL_SHIFTS_BP]))
    return here, here / max(elsewhere, 1e-6)


def profile_correlation(query_mean: npt.ArrayLike, model_mean: npt.ArrayLike) -> ProfileCorrelation:
    """Return the correlation of the log mean openness of a query and a model over their n shared islands."""
    query, model = (np.log(np.asarray(mean, dtype=np.float64) + 1e-3) for mean in (query_mean, model_mean))
    n = len(query)
    if n < 10 or not query.std() or not model.std():
        return ProfileCorrelation(r=float("nan"), upper=1.0, n_islands=n)
    r = float(np.corrcoef(query, model)[0, 1])
    upper = float(np.tanh(np.arctanh(min(r, 1 - 1e-9)) + Z_99 / np.sqrt(n - 3)))
    return ProfileCorrelation(r=r, upper=upper, n_islands=n)


def _past_end(table: pd.DataFrame, genome: str) -> npt.NDArray[np.int64]:
    length = table["chrom"].map(chrom_lengths(genome)).fillna(0).to_numpy()
    return np.flatnonzero(table["start"].to_numpy() >= length)


def _likely(fits: tuple[str, ...], enrichment: Mapping[str, float], n_features: int) -> str | None:
    among = {name: value for name, value in enrichment.items() if name in fits}
    if among and n_features >= MIN_FEATURES:
        best = max(among, key=lambda name: among[name])
        if among[best] >= MIN_ENRICHMENT:
            return best
    return fits[0] if len(fits) == 1 else None


def _suggestion(report: AssemblyReport) -> str:
    likely = [report.likely] if report.likely else [name for name in report.fits if name != report.stated]
    if not likely:
        return "They fit none of the assemblies known here: give a file of chromosome lengths as the genome."
    if len(likely) == 1:
        return f"These look like {likely[0]}. If they are, pass genome '{likely[0]}' (--genome {likely[0]})."
    return f"They fit {', '.join(likely)}. Pass the right one as genome (--genome)."


def _refuse_past_end(report: AssemblyReport, table: pd.DataFrame, rows: npt.NDArray[np.int64]) -> None:
    if not len(rows):
        return
    stated = str(report.stated)
    chrom, start, end = table.loc[rows[0], ["chrom", "start", "end"]]
    length = chrom_lengths(stated).get(chrom)
    size = f"{chrom} has {length:,} bp" if length else f"there is no {chrom}"
    found = (
        f"{len(rows):,} of {report.n_features:,} features lie outside {genome_label(stated)}, for example "
        f"{chrom}:{start}-{end}, where {size}."
    )
    if stated not in report.fits:
        raise AssemblyError(f"{found} {_suggestion(report)}")
    warnings.warn(f"{found} They are too few to mean another assembly.", AnnatacWarning, stacklevel=4)


def _refuse_tss(report: AssemblyReport) -> None:
    stated = str(report.stated)
    if stated not in report.tss_enrichment or report.n_features < MIN_FEATURES:
        return
    here = report.tss_enrichment[stated]
    found = (
        f"Openness does not pile up at the start sites of {genome_label(stated)}: "
        f"{report.tss_share[stated]:.1%} of it is within 1 kb, {here:.1f} times what is "
        "found nearby"
    )
    if here >= MIN_ENRICHMENT:
        return
    if report.likely not in (None, stated) and report.likely in report.tss_share:
        other = str(report.likely)
        raise AssemblyError(
            f"{found}; of {other} it is {report.tss_share[other]:.1%}, "
            f"{report.tss_enrichment[other]:.1f} times. {_suggestion(report)}"
        )
    if here < NO_ENRICHMENT:
        raise AssemblyError(f"{found} (3 times and more is usual). {_suggestion(report)}")
    warnings.warn(
        f"{found} (3 times and more is usual). Is {genome_label(stated)} the right assembly, and are the "
        "genes of that assembly?",
        AnnatacWarning,
        stacklevel=4,
    )
