"""Draw the pictures of docs/markers.md and docs/conditions.md: `python perf/marker_pictures.py` (half a minute)."""

import annatac
from annatac import datasets

adata = datasets.load("granja2019_bmmc_d6t1")
found = annatac.tl.markers(adata, "cell_type", genes=datasets.path("hg19_genes"))
annatac.pl.save(annatac.pl.marker_heatmap(found), "docs/images/marker_heatmap.png", dpi=100)
annatac.pl.save(annatac.pl.volcano(found, "17_B"), "docs/images/marker_volcano.png", dpi=100)
table = annatac.tl.elements(adata, datasets.path("hg19_genes"), groupby="cell_type")
annatac.pl.save(annatac.pl.elements(table), "docs/images/elements.png", dpi=100)
cells = annatac.simulate.simulate_cells(4000, donors=6)
cells.obs["condition"] = [
    "treated" if d in ("donor4", "donor5", "donor6") else "control" for d in cells.obs["donor"]
]
ax = annatac.pl.composition(cells, "cell_type", sample_key="donor", condition_key="condition")
annatac.pl.save(ax, "docs/images/composition_simulated.png", dpi=100)
