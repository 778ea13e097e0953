from .atomic import atomic_dir as atomic_dir
from .atomic import atomic_path as atomic_path
from .barcodes import cell_barcodes as cell_barcodes
from .labels import read_labels as read_labels
from .motif_files import choose_motifs as choose_motifs
from .motif_files import read_motifs as read_motifs
from .read import read_one as read_one
from .write import write_annotated as write_annotated
