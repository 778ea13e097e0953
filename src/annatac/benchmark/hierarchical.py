"""How good answers are that may be an ancestor of a type. Truth first, answer second, one name a cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from annatac.annotate.hierarchy import Bools, Hierarchy
from annatac.errors import InputError


def safe_scores(truth: ArrayLike, answers: ArrayLike, hierarchy: Hierarchy) -> dict[str, float]:
    """Return how often answers are right, and how much they say.

    Parameters
    ----------
    truth
        Types of the hierarchy, (n,).
    answers
        Types or ancestors, (n,), as :meth:`Hierarchy.safe_labels` gives them.

    Returns
    -------
    ``safe_share_type``, ``safe_share_ancestor``, ``safe_share_root``: shares of the cells answered by a type,
    an ancestor, the root alone. ``safe_error``: share of all cells whose answer does not hold the true type
    (the root holds every one). ``safe_error_type``: of those answered by a type. ``safe_information``: mean of
    1 - log(types that the answer stands for) / log(all types): 1 for a type, 0 for the root.
    ``hierarchical_precision``, ``hierarchical_recall``, ``hierarchical_f1``: over the pairs of cell and node,
    where a name counts with all its ancestors but the root (Kiritchenko et al. 2006). NaN where there is no
    cell to judge.

    Raises
    ------
    InputError
        A name is none of the hierarchy's, or the lengths differ.
    """
    nodes = hierarchy.types_of()
    names = list(nodes)
    true, said = (np.asarray(x, dtype=object).astype(str) for x in (truth, answers))
    foreign = sorted((set(true) | set(said)) - set(names))
    if foreign or true.shape != said.shape:
        raise InputError(
            f"{len(true)} true types and {len(said)} answers, of which not in the hierarchy: "
            f"{', '.join(foreign[:5]) or 'none'}. One name of the hierarchy a cell is expected for each."
        )
    members = np.array([nodes[name] for name in names])
    row = {name: i for i, name in enumerate(names)}
    t, a = (np.array([row[name] for name in x], dtype=np.int64) for x in (true, said))
    size = members.sum(1)
    is_root = size == len(hierarchy.classes)
    is_type = size == 1
    holds: Bools = np.asarray(
        (members[:, None, :] >= members[None, :, :]).all(2)
    )  # node i stands above, or is, node j
    nodes_above = holds[~is_root]
    right = holds[a, t]
    pairs_truth, pairs_said = nodes_above[:, t], nodes_above[:, a]
    both = float((pairs_truth & pairs_said).sum())
    precision, recall = _share(both, float(pairs_said.sum())), _share(both, float(pairs_truth.sum()))
    information = 1 - np.log(size) / max(np.log(len(hierarchy.classes)), 1e-12)
    n = float(len(t))
    return {
        "safe_share_type": _share(float(is_type[a].sum()), n),
        "safe_share_ancestor": _share(float((~is_type & ~is_root)[a].sum()), n),
        "safe_share_root": _share(float((is_root & ~is_type)[a].sum()), n),
        "safe_error": _share(float((~right).sum()), n),
        "safe_error_type": _share(float((~right)[is_type[a]].sum()), float(is_type[a].sum())),
        "safe_information": _share(float(information[a].sum()), n),
        "hierarchical_precision": precision,
        "hierarchical_recall": recall,
        "hierarchical_f1": _share(2 * precision * recall, precision + recall),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
