"""Statistics of a cell without the trend that depth alone gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MOST = 3.0  # standard deviations of log depth beyond which trends are not extrapolated


@dataclass(frozen=True, kw_only=True)
class LogDepth:
    """Depth as standard deviations from the mean of log(open islands) over reference cells."""

    mean: float
    sd: float

    @classmethod
    def fit(cls, n_open: npt.ArrayLike) -> LogDepth:
        """Return the mean and the standard deviation over n cells."""
        logs = np.log(np.maximum(np.asarray(n_open, dtype=np.float64), 1))
        return cls(mean=float(logs.mean()), sd=float(max(logs.std(), 1e-3)))

    def __call__(self, n_open: npt.ArrayLike) -> Floats:
        """Return the depth of n cells, float64 (n,), within -3 and 3."""
        logs = np.log(np.maximum(np.asarray(n_open, dtype=np.float64), 1))
        return np.asarray(np.clip((logs - self.mean) / self.sd, -MOST, MOST))


@dataclass(frozen=True, kw_only=True)
class DepthTrend:
    """Mean and spread of a statistic as functions of depth z: quadratic, and log-linear.

    Attributes
    ----------
    depth
        How z comes from the number of open islands.
    mean
        Coefficients of 1, z and z squared.
    log_spread
        Coefficients of 1 and z; the spread is a standard deviation.
    """

    depth: LogDepth
    mean: tuple[float, float, float]
    log_spread: tuple[float, float]

    @classmethod
    def fit(cls, values: npt.ArrayLike, n_open: npt.ArrayLike) -> DepthTrend:
        """Fit both by least squares to the statistic of n >= 3 cells and their open islands."""
        y = np.asarray(values, dtype=np.float64)
        depth = LogDepth.fit(n_open)
        design = _powers(depth(n_open))
        mean = np.linalg.lstsq(design, y, rcond=None)[0]
        residual = y - design @ mean
        floor = 1e-3 * max(float(residual.std()), 1e-6)
        log_spread = np.linalg.lstsq(design[:, :2], np.log(np.abs(residual) + floor), rcond=None)[0]
        scaled = residual / np.exp(design[:, :2] @ log_spread)
        log_spread[0] += np.log(
            max(float(scaled.std()), 1e-6)
        )  # a mean of logs falls short of the log of the mean
        a, b, c = (float(x) for x in mean)
        return cls(depth=depth, mean=(a, b, c), log_spread=(float(log_spread[0]), float(log_spread[1])))

    def standardised(self, values: npt.ArrayLike, n_open: npt.ArrayLike) -> Floats:
        """Return how many standard deviations n cells lie above the mean of their depth, float64 (n,)."""
        design = _powers(self.depth(n_open))
        spread = np.exp(design[:, :2] @ np.array(self.log_spread))
        return np.asarray((np.asarray(values, dtype=np.float64) - design @ np.array(self.mean)) / spread)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the model folder keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DepthTrend:
        """Return what :meth:`to_dict` wrote."""
        a, b, c = content["mean"]
        d, e = content["log_spread"]
        return cls(depth=LogDepth(**content["depth"]), mean=(a, b, c), log_spread=(d, e))


def _powers(z: Floats) -> Floats:
    return np.stack([np.ones_like(z), z, z**2], axis=1)
