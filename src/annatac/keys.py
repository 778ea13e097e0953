"""The name of every AnnData slot that annatac reads or writes, in one place."""

from __future__ import annotations

# written by reading and by peak islands
SAMPLE = "sample"  # obs: input that a cell came from
GENOME = "genome"  # uns: assembly, e.g. 'hg38'
ISLANDS = "annatac_islands"  # uns: how the islands were made (bin size, openness, peak coordinates)
CHROM, START, END = "chrom", "start", "end"  # var: 0-based, half-open
N_PEAKS, GENES, PEAKS = "n_peaks", "genes", "peaks"  # var: of an island
N_OPEN = "annatac_n_open"  # obs: open islands a cell
LOW_QUALITY = "annatac_low_quality"  # obs: below the floor of open islands

# written by fragment_qc
N_FRAGMENTS = "annatac_n_fragments"  # obs: fragments of a cell
TSS_ENRICHMENT = "annatac_tss_enrichment"  # obs
NUCLEOSOME_SIGNAL = "annatac_nucleosome_signal"  # obs
FRAGMENT_QC = "annatac_fragment_qc"  # uns: start-site profiles and fragment sizes by type

# written by motif_scan and motif_deviations
MOTIFS = "annatac_motifs"  # uns: ids, names, counts of the motifs and how they were scanned
MOTIF_HITS = "annatac_motif_hits"  # varm: features x motifs, number of sites
GC = "annatac_gc"  # var: share of G and C
MOTIF_DEVIATIONS = "annatac_motif_deviations"  # obsm: cells x motifs, bias-corrected
MOTIF_Z = "annatac_motif_z"  # obsm: cells x motifs, z-scores against background features

# written by annotate
LABEL = "annatac_label"
CONFIDENCE = "annatac_confidence"
NOVELTY = "annatac_novelty"
IS_NOVEL = "annatac_is_novel"
REASON = "annatac_reason"
LABEL_SAFE = "annatac_label_safe"
DOUBLET_SCORE = "annatac_doublet_score"
PROBABILITIES = "annatac_probabilities"  # obsm
PREDICTION_SET = "annatac_prediction_set"  # obsm
EMBEDDING = "X_annatac"  # obsm
UNS = "annatac"  # uns

# written by clusters
NOVEL_GROUP = "annatac_novel_group"  # obs: group of a novel cell, '' for all others
CLUSTER = "annatac_cluster"  # obs: cluster of a cell by what is open in it
CLUSTER_LABEL = (
    "annatac_cluster_label"  # obs: what most labels of the cell's cluster say, '' for no consensus
)
CLUSTERS = "annatac_clusters"  # uns: tables of the groups, their markers, the clusters and their conflicts

# written by trajectory and diffusion_pseudotime
PSEUDOTIME = (
    "annatac_pseudotime"  # obs: 0 to 100, NaN for cells off the trajectory; uns: curve, order, parameters
)

NOVEL_LABEL = "Novel_cell_type"  # value of obs[LABEL]
REASONS = ("", "novel", "ambiguous", "low_quality", "doublet")
