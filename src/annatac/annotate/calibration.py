"""Probabilities that mean what they say: the network's logits, rescaled on reference cells it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from annatac.annotate.depth import LogDepth

METHOD = "depth-aware vector scaling"
_SCALE_PRIOR, _OFFSET_PRIOR = 5.0, 10.0  # in cells: what the data must outweigh


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """softmax(exp(log_scale + depth_slope z) logits + offsets), z the standardised log depth.

    Temperature scaling (Guo et al. 2017) with a temperature that depends on depth, since shallow cells are the
    over-confident ones, and with one offset a type, all shrunk towards the network's own softmax.

    Attributes
    ----------
    log_scale, depth_slope
        Of the inverse temperature.
    offsets
        One for each of the C types.
    depth
        How z comes from the number of open islands.
    """

    log_scale: float
    depth_slope: float
    offsets: tuple[float, ...]
    depth: LogDepth

    def probabilities(
        self, logits: npt.NDArray[np.floating], n_open: npt.ArrayLike
    ) -> npt.NDArray[np.float32]:
        """Return calibrated probabilities, float32 (n, C); rows sum to 1.

        Parameters
        ----------
        logits
            (n, C), of the network.
        n_open
            (n,), known open islands.
        """
        scale = np.exp(self.log_scale + self.depth_slope * self.depth(n_open))
        return softmax(logits * scale[:, None] + np.array(self.offsets))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the model folder keeps them."""
        return {**asdict(self), "offsets": list(self.offsets)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """Return what :meth:`to_dict` wrote."""
        return cls(
            log_scale=content["log_scale"],
            depth_slope=content["depth_slope"],
            offsets=tuple(content["offsets"]),
            depth=LogDepth(**content["depth"]),
        )


def fit_calibration(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], n_open: npt.ArrayLike
) -> Calibration:
    """Fit the calibration to held-out cells by penalised maximum likelihood.

    Parameters
    ----------
    logits
        (m, C), of cells that the network has not seen.
    labels
        (m,), their types, 0..C-1.
    n_open
        (m,), their known open islands.

    Notes
    -----
    Two parameters and C offsets, with penalties of 5 (a^2 + b^2) + 10 sum(offset^2) beside the sum of the cells'
    log losses: a type of few cells keeps the network's own probability.
    """
    depth = LogDepth.fit(n_open)
    x, y, z = torch.from_numpy(logits).double(), torch.from_numpy(labels).long(), depth(n_open)
    depth_B = torch.from_numpy(z)
    scale = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, offsets], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scaled = x * torch.exp(scale[0] + scale[1] * depth_B)[:, None] + offsets
        loss = torch.nn.functional.cross_entropy(scaled, y, reduction="sum")
        loss = loss + _SCALE_PRIOR * scale.square().sum() + _OFFSET_PRIOR * offsets.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    log_scale, depth_slope = scale.detach().tolist()
    return Calibration(
        log_scale=log_scale, depth_slope=depth_slope, offsets=tuple(offsets.detach().tolist()), depth=depth
    )


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return exp(logits) over its sum along the last axis, float32."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True), dtype=np.float32)
