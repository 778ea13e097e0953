"""The pictures of docs/fragments.md: `python perf/fragment_pictures.py`.

Real: fragments of 33 sorted bulk T-cell samples (Calderon et al. 2019; data set calderon2019_fragments, parts of
chr12 and chr21, hg38), each sample taken as a cell. Simulated: the footprint (see footprint_recovery.py).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import matplotlib

matplotlib.use("Agg")

from annatac import datasets, pl, tl

sys.path.insert(0, str(Path(__file__).parent))
from footprint_recovery import simulate

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def calderon() -> ad.AnnData:
    """Return the 33 samples as cells, named as in the fragment file; obs: cell_type, donor, stimulus, type."""
    bulk = datasets.load("calderon2019_bulk")
    bulk.obs_names = [f"S{i + 1:02d}" for i in range(bulk.n_obs)]
    state = bulk.obs["stimulus"].map({"S": "stimulated", "U": "resting"}).astype(str)
    bulk.obs["type"] = bulk.obs["cell_type"].astype(str) + ", " + state
    return bulk


def main() -> None:
    cells, fragments = calderon(), datasets.path("calderon2019_fragments")
    genes = datasets.path("hg38_genes")
    begin = time.perf_counter()
    tl.fragment_qc(cells, fragments, genes=genes, groupby="type")
    print(f"fragment_qc: {time.perf_counter() - begin:.1f} s")
    columns = ["annatac_n_fragments", "annatac_tss_enrichment", "annatac_nucleosome_signal"]
    print(cells.obs.groupby("type", observed=True)[columns].median().round(2).to_string())
    pl.save(pl.tss_profile(cells), IMAGES / "tss_profile.png", dpi=110)
    pl.save(pl.fragment_sizes(cells), IMAGES / "fragment_sizes.png", dpi=110)

    begin = time.perf_counter()
    locus = tl.coverage(cells, fragments, "CD4", genes=genes, flank_bp=25_000, groupby="type", min_cells=1)
    print(f"coverage of {locus.region} through the index: {time.perf_counter() - begin:.1f} s")
    from annatac.genome import intervals_of

    pl.save(pl.tracks(locus, genes=genes, peaks=intervals_of(cells.var)), IMAGES / "tracks_cd4.png", dpi=110)

    with tempfile.TemporaryDirectory() as folder:
        simulated, file, fasta, sites = simulate(Path(folder), n_fragments=150_000)
        result = tl.footprints(simulated, file, {"simulated motif": sites}, groupby="type", fasta=fasta)
        pl.save(pl.footprint(result), IMAGES / "footprint_simulated.png", dpi=110)
        pl.save(
            pl.footprint(result, normalise="none"), IMAGES / "footprint_simulated_uncorrected.png", dpi=110
        )
        print(result.table().round(3).to_string())


if __name__ == "__main__":
    main()
