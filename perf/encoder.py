"""The encoder against the published network written plainly: seconds a cell, forward and training.

    python perf/encoder.py --islands 16656 --universe 250000 --open 1500
    python perf/encoder.py --compile --threads 1

The comparator is annATAC's encoder and head as published: dense (every island is a token), a loop over
heads, separate Q, K and V from all islands, float32. Beside it, on the same machine in the same run: the
recipe `paper` as this package computes it (dense, same outputs), the same network on open islands only,
and the recipe `default` in a universe of 250,000. Cells are drawn at random: speed, not accuracy. The
commands' settings of the allocator are in force for all of them.

With --compile, instead: the recipe `default` as it is, through torch.compile (shapes left open, since batches differ in
theirs), and in bfloat16, each step's time and the seconds before the first; written to encoder_compile.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from annatac.cli.allocator import keep_memory
from annatac.config import ModelConfig, Recipe
from annatac.corpus.batches import collate
from annatac.model import Network, TokenBatch

RESULTS = Path(__file__).parent / "results"


class PublishedAttention(nn.Module):
    """Linformer attention as published: head by head, K and V of every island, then projected to k rows."""

    def __init__(self, config: ModelConfig, projection: nn.Linear) -> None:
        super().__init__()
        width, d = config.width, config.head_dim
        self.projection = projection
        self.heads = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(width, d, bias=False) for name in ("q", "k", "v")})
            for _ in range(config.n_heads)
        )
        self.out = nn.Linear(config.n_heads * d, width)
        self.scale = d**-0.5

    def forward(self, x_BLD: Tensor) -> Tensor:
        outputs = []
        for head in self.heads:
            keys = self.projection(head["k"](x_BLD).transpose(1, 2))  # B, d, k
            values = self.projection(head["v"](x_BLD).transpose(1, 2)).transpose(1, 2)
            weights = (head["q"](x_BLD) @ keys * self.scale).softmax(-1)
            outputs.append(weights @ values)
        return self.out(torch.cat(outputs, -1))


class Published(nn.Module):
    """The published encoder and CNN head."""

    def __init__(self, n_islands: int, n_types: int, config: ModelConfig) -> None:
        super().__init__()
        self.token = nn.Embedding(7, config.width)
        self.register_buffer("position", torch.zeros(n_islands, config.width))
        projection = nn.Linear(n_islands, config.k)
        self.attention = nn.ModuleList(PublishedAttention(config, projection) for _ in range(config.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2 * config.depth))
        self.feed_forward = nn.ModuleList(
            nn.Sequential(
                nn.Linear(config.width, config.feed_forward),
                nn.GELU(),
                nn.Linear(config.feed_forward, config.width),
            )
            for _ in range(config.depth)
        )
        self.convolution = nn.Conv2d(1, 1, (1, config.width))
        first, second = config.head_hidden
        self.head = nn.Sequential(
            nn.Linear(n_islands, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, n_types),
        )

    def forward(self, classes_BL: Tensor) -> Tensor:
        x_BLD = self.token(classes_BL) + self.position
        for index, (attention, feed_forward) in enumerate(
            zip(self.attention, self.feed_forward, strict=True)
        ):
            x_BLD = self.norms[2 * index](x_BLD + attention(x_BLD))
            x_BLD = self.norms[2 * index + 1](x_BLD + feed_forward(x_BLD))
        summed = self.convolution(x_BLD[:, None]).squeeze(3).squeeze(1).relu()
        logits: Tensor = self.head(summed)
        return logits

    @torch.no_grad()
    def copy_from(self, network: Network) -> None:
        """Take the weights of a ``paper`` network, so that both must give the same logits."""
        encoder, head = network.encoder, network.head
        assert head is not None
        self.token.weight.copy_(encoder.embedding.token.weight)
        self.position.copy_(encoder.table.vectors)
        self.attention[0].projection.weight.copy_(encoder.projection.weight[0].T)
        self.attention[0].projection.bias.copy_(encoder.projection.bias[0])
        for index, layer in enumerate(encoder.layers):
            ours, theirs = layer.attention, self.attention[index]
            d = ours.head_dim
            for h, block in enumerate(theirs.heads):
                for name, weight in (("q", ours.query), ("k", ours.key), ("v", ours.value)):
                    block[name].weight.copy_(weight.weight[h * d : (h + 1) * d])
            theirs.out.load_state_dict(ours.out.state_dict())
            self.norms[2 * index].load_state_dict(layer.norm_attention.state_dict())
            self.norms[2 * index + 1].load_state_dict(layer.norm_feed_forward.state_dict())
            self.feed_forward[index].load_state_dict(layer.feed_forward.state_dict())
        self.convolution.weight.copy_(head.convolution.weight.view(1, 1, 1, -1))
        self.convolution.bias.copy_(head.convolution.bias)
        linears = [m for m in [*head.hidden, head.types] if isinstance(m, nn.Linear)]
        self.head[0].weight.copy_(head.rows.T)
        self.head[0].bias.copy_(head.bias)
        self.head[2].load_state_dict(linears[0].state_dict())
        self.head[4].load_state_dict(linears[1].state_dict())


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def random_cells(n_cells: int, n_islands: int, n_open: int) -> TokenBatch:
    """Return cells of ``n_open`` islands drawn at random."""
    random = np.random.default_rng(0)
    indices = np.concatenate(
        [np.sort(random.choice(n_islands, n_open, replace=False)) for _ in range(n_cells)]
    )
    data = random.integers(1, 6, len(indices)).astype(np.uint8)
    indptr = np.arange(n_cells + 1) * n_open
    return collate(sp.csr_matrix((data, indices, indptr), (n_cells, n_islands)), np.arange(n_cells))


def time_both(
    network: nn.Module, forward: Callable[[], Tensor], n_cells: int, repeats: int
) -> dict[str, float]:
    """Return seconds a cell to predict and to train (forward, backward, Adam)."""
    network.eval()
    with torch.inference_mode():
        predict = seconds(forward, repeats) / n_cells
    network.train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        forward().square().mean().backward()
        optimizer.step()

    return {"predict_s": predict, "train_s": seconds(step, repeats) / n_cells}


def compiled_and_mixed(options: argparse.Namespace) -> None:
    """Print and write the times of the default recipe as it is, compiled, and in bfloat16."""
    cells = random_cells(64, options.universe, options.open)
    other = random_cells(
        64, options.universe, options.open // 2
    )  # a second shape, so that none is specialised on
    rows: dict[str, dict[str, float]] = {}
    for name in ("as it is", "compiled", "bfloat16"):
        torch.manual_seed(0)
        network = Network(options.universe, options.types, Recipe.load("default").model)
        if name == "bfloat16":
            network.encoder_dtype = torch.bfloat16
        forward = torch.compile(network, dynamic=True) if name == "compiled" else network
        began = time.perf_counter()
        with torch.inference_mode():
            forward(other)
            forward(cells)
        start_predict = time.perf_counter() - began
        began = time.perf_counter()
        for batch in (other, cells):
            forward(batch).logits_BC.square().mean().backward()
        start_train = time.perf_counter() - began
        times = time_both(network, lambda run=forward: run(cells).logits_BC, 64, options.repeats)
        rows[name] = times | {"start_predict_s": start_predict, "start_train_s": start_train}
        print(name, {key: f"{value:.4g}" for key, value in rows[name].items()}, flush=True)
    content = {"options": vars(options), "rows": rows}
    (RESULTS / "encoder_compile.json").write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--islands", type=int, default=16_656, help="universe of the published network")
    parser.add_argument("--universe", type=int, default=250_000, help="universe of the default recipe")
    parser.add_argument("--open", type=int, default=1_500, help="open islands a cell")
    parser.add_argument("--types", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile and bfloat16 of the default recipe"
    )
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    if options.compile:
        compiled_and_mixed(options)
        return
    torch.manual_seed(0)
    paper = Recipe.load("paper").model

    rows: dict[str, dict[str, float]] = {}
    dense = Network(options.islands, options.types, paper)
    published = Published(options.islands, options.types, paper)
    published.copy_from(dense)
    cells = random_cells(1, options.islands, options.open)
    classes_BL = cells.dense(options.islands).classes_BN
    with torch.inference_mode():
        apart = float((published.eval()(classes_BL) - dense.eval()(cells).logits_BC).abs().max())
    rows["published, dense"] = time_both(published, lambda: published(classes_BL), 1, options.repeats)
    rows["paper, dense"] = time_both(dense, lambda: dense(cells).logits_BC, 1, options.repeats)
    sparse = Network(options.islands, options.types, replace(paper, closed="drop"))
    few = random_cells(8, options.islands, options.open)
    rows["paper, open islands only"] = time_both(sparse, lambda: sparse(few).logits_BC, 8, options.repeats)
    default = Network(options.universe, options.types, Recipe.load("default").model)
    many = random_cells(64, options.universe, options.open)
    rows["default"] = time_both(default, lambda: default(many).logits_BC, 64, options.repeats)

    print(f"largest difference of logits, published - paper: {apart:.1e}; {options.threads} threads")
    base = rows["published, dense"]
    print(f"{'':26s} {'predict':>22s} {'train':>22s}")
    for name, row in rows.items():
        cells_text = [
            f"{row[what] * 1e3:9.2f} ms {base[what] / row[what]:7.1f} x" for what in ("predict_s", "train_s")
        ]
        print(f"{name:26s} {cells_text[0]:>22s} {cells_text[1]:>22s}")
    content = {"options": vars(options), "largest_difference": apart, "rows": rows}
    (RESULTS / "encoder.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
