"""A smooth curve through ordered groups of points, and where on it each point lies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def ranks(values: Floats) -> Floats:
    """Return each value's rank, from 0 (least) to 1 (greatest); ties by their order."""
    place = np.empty(len(values))
    place[np.argsort(values, kind="stable")] = np.arange(len(values))
    return place / max(len(values) - 1, 1)


def first_times(points: Floats, group: npt.NDArray[np.int64], n_groups: int) -> Floats:
    """Return a first guess of the time of each point: its group's number, plus its rank within the group.

    The nearer a point is to the mean of the next group (in the last group: the farther from the one before),
    the later it stands, as in ArchR's ``addTrajectory``.
    """
    time = np.empty(len(points))
    means = np.stack([points[group == g].mean(0) for g in range(n_groups)])
    for g in range(n_groups):
        own = group == g
        other = means[g + 1] if g + 1 < n_groups else means[g - 1]
        distance = np.linalg.norm(points[own] - other, axis=1)
        within = ranks(distance)
        time[own] = g + (within if g + 1 == n_groups else 1 - within)
    return time


def smooth_curve(time: Floats, points: Floats, *, n_nodes: int, bandwidth: float) -> Floats:
    """Return ``n_nodes`` points of a smooth curve, float64 (n_nodes, d): local linear regression on ``time``.

    Parameters
    ----------
    bandwidth
        Standard deviation of the Gaussian kernel, as a share of the range of ``time``.
    """
    nodes = np.linspace(time.min(), time.max(), n_nodes)
    width = max(bandwidth * float(np.ptp(time)), 1e-12)
    curve = np.empty((n_nodes, points.shape[1]))
    per_block = max(1, 4_000_000 // max(len(time), 1))
    for first in range(0, n_nodes, per_block):
        offset = time[None, :] - nodes[first : first + per_block, None]
        kernel = np.exp(-0.5 * (offset / width) ** 2)
        s0, s1, s2 = kernel.sum(1), (kernel * offset).sum(1), (kernel * offset**2).sum(1)
        weight = kernel * (s2[:, None] - s1[:, None] * offset)
        total = s0 * s2 - s1**2
        flat = total <= 1e-10 * s0 * s2  # no spread under the kernel: its mean
        weight[flat], total[flat] = kernel[flat], s0[flat]
        curve[first : first + per_block] = (weight / total[:, None]) @ points
    return curve


def project(points: Floats, curve: Floats) -> tuple[Floats, Floats]:
    """Return how far along the curve (its length, from the first node) and how far off it each point lies."""
    start, step = curve[:-1], np.diff(curve, axis=0)
    squared = np.maximum((step**2).sum(1), 1e-24)
    length = np.sqrt(squared)
    before = np.concatenate([[0], np.cumsum(length)])[:-1]
    along, off = np.empty(len(points)), np.empty(len(points))
    offset = (start * step).sum(1)
    per_block = max(1, 4_000_000 // len(start))
    for first in range(0, len(points), per_block):
        part = points[first : first + per_block]
        share = np.clip((part @ step.T - offset) / squared, 0, 1)
        # |p - a - s d|^2, expanded so that no (points, nodes, d) array is needed
        distance = (
            (part**2).sum(1)[:, None]
            - 2 * part @ start.T
            + (start**2).sum(1)
            - 2 * share * (part @ step.T - offset)
            + share**2 * squared
        )
        best = distance.argmin(1)
        rows = np.arange(len(part))
        along[first : first + per_block] = before[best] + share[rows, best] * length[best]
        off[first : first + per_block] = np.sqrt(np.maximum(distance[rows, best], 0))
    return along, off
