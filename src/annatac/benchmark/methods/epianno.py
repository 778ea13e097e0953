"""EpiAnno (Chen et al. 2022), written anew: a Bayesian network of peaks, fitted by mean-field variational inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.special import softmax
from torch import nn

from annatac.benchmark.method import MethodSpec, Probabilities, labels_of
from annatac.benchmark.methods.rainbow import frequent_peaks
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
_SLOPE = 0.5


class EpiAnno:
    """mu_k ~ N(0, I), z ~ N(mu_k, sigma), x ~ N(LeakyReLU(z beta + alpha), noise); beta, alpha ~ N(0, 1).

    sigma (a shared diagonal) and the noise have InvGamma(1, 1) priors; for the noise that is ours. Each has a
    log-normal or normal factor. Predictions take 10 draws of the fitted factors (the paper: 10 of the last
    1,000 draws) and the majority of their calls.
    """

    n_dimensions, n_draws = 10, 10

    def __init__(self, *, n_steps: int = 50_000) -> None:
        self.n_steps = n_steps

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        counts = as_csr(reference.X)
        self.peaks = frequent_peaks(counts)
        kept = counts[:, self.peaks]
        total = np.asarray(kept.sum(axis=0)).ravel()
        self.idf = np.log1p(counts.shape[0] / np.maximum(total, 1))
        x = _weighted(kept, self.idf)
        self.mean, self.sd = x.mean(0), x.std(0)
        inputs = torch.from_numpy(self._scaled(x))
        names, y = np.unique(labels_of(reference, label_key), return_inverse=True)
        self.classes = [str(name) for name in names]
        self.generator = torch.Generator().manual_seed(seed)
        shapes = {
            "mu": (len(names), self.n_dimensions),
            "z": (len(x), self.n_dimensions),
            "beta": (self.n_dimensions, x.shape[1]),
            "alpha": (x.shape[1],),
            "sigma": (self.n_dimensions,),  # the last two are logarithms
            "noise": (1,),
        }
        self.factors = nn.ParameterDict()
        for name, shape in shapes.items():
            self.factors[f"{name}_mean"] = nn.Parameter(0.1 * torch.randn(shape, generator=self.generator))
            self.factors[f"{name}_log_sd"] = nn.Parameter(torch.full(shape, -3.0))
        optimiser = torch.optim.Adam(self.factors.values(), lr=0.15)
        labels = torch.from_numpy(y)
        for _ in range(self.n_steps):
            loss = -self._elbo(inputs, labels) / inputs.numel()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.factors.values(), 10.0)
            optimiser.step()

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        x = self._scaled(_weighted(as_csr(query.X)[:, self.peaks], self.idf)).astype(np.float64)
        linear = np.where(x >= 0, x, x / _SLOPE)
        votes = np.zeros((len(x), len(self.classes)))
        belief = np.zeros_like(votes)
        with torch.inference_mode():
            for _ in range(self.n_draws):
                drawn = {name: self._draw(name).double().numpy() for name in ("mu", "beta", "alpha", "sigma")}
                z = (linear - drawn["alpha"]) @ np.linalg.pinv(drawn["beta"])
                scale = np.exp(drawn["sigma"])
                away = (z[:, None, :] - drawn["mu"][None]) / scale
                likelihood = -0.5 * (away**2).sum(2)
                votes[np.arange(len(x)), likelihood.argmax(1)] += 1 / self.n_draws
                belief += softmax(likelihood, axis=1) / self.n_draws
        probabilities = 0.99 * votes + 0.01 * belief  # the majority decides; beliefs break ties
        return (probabilities / probabilities.sum(1, keepdims=True)).astype(np.float32), self.classes

    def _elbo(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        drawn = {name: self._draw(name) for name in ("mu", "z", "beta", "alpha", "sigma", "noise")}
        sigma, noise = drawn["sigma"].exp(), drawn["noise"].exp()
        fitted = nn.functional.leaky_relu(drawn["z"] @ drawn["beta"] + drawn["alpha"], _SLOPE)
        found = _normal(x, fitted, noise) + _normal(drawn["z"], drawn["mu"][labels], sigma)
        for name in ("mu", "beta", "alpha"):
            found = found - 0.5 * (drawn[name] ** 2).sum()
        for name, value in (("sigma", sigma), ("noise", noise)):
            # InvGamma(1, 1): -2 log v - 1 / v, and + log v since the factor is of the logarithm
            found = found + (-drawn[name] - 1 / value).sum()
        entropy = sum(self.factors[f"{name}_log_sd"].sum() for name in drawn)
        return found + entropy

    def _draw(self, name: str) -> torch.Tensor:
        mean, log_sd = self.factors[f"{name}_mean"], self.factors[f"{name}_log_sd"]
        return mean + log_sd.exp() * torch.randn(mean.shape, generator=self.generator)

    def _scaled(self, x: Floats) -> Floats:
        return ((x - self.mean) / np.where(self.sd > 0, self.sd, 1)).astype(np.float32)


def _weighted(counts: sp.csr_matrix, idf: npt.NDArray[np.float64]) -> Floats:
    """Return term frequency x log(1 + cells / the peak's sum), dense."""
    total = np.asarray(counts.sum(axis=1)).ravel()
    frequency = sp.diags(1 / np.maximum(total, 1)) @ counts
    return np.asarray(frequency.multiply(idf[None, :]).toarray(), dtype=np.float32)


def _normal(x: torch.Tensor, mean: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
    """Return the log density of all of ``x`` together, without its constant."""
    return (-0.5 * ((x - mean) / sd) ** 2 - sd.log()).sum()


METHODS = {
    "epianno": MethodSpec(
        about="EpiAnno: Bayesian network on peaks open in 3 % of the cells, 50,000 steps",
        make=EpiAnno,
        source="reimplemented",
    ),
    "epianno_short": MethodSpec(
        about="the same with 3,000 steps",
        make=lambda: EpiAnno(n_steps=3_000),
        source="reimplemented",
    ),
}
