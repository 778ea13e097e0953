"""The network, torch alone: tokens of open islands in, one vector and the types' logits out.

Shape suffixes: B cells of a batch, N tokens a cell (padded), L islands of the universe, D width,
H heads, d head width, K projection rows, R position dimensions, C cell types.
"""

from annatac.model.network import Network, Output
from annatac.model.tokens import MASK_CLASS, TokenBatch

__all__ = ["MASK_CLASS", "Network", "Output", "TokenBatch"]
