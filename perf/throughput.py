"""Prediction, fine-tuning and pre-training: cells and tokens a second, and how far from the machine's floors.

    python perf/throughput.py --networks default published --threads 2
    python perf/throughput.py --networks large --cells 8 --batches 1 --repeats 1
    python perf/throughput.py --networks default --max-open 0
    python perf/throughput.py --networks default --depths 250 1500 6000 --universes 10000 250000 500000
    python perf/throughput.py --networks large default --device cuda --bf16 --compile --profile --runs

Cells are drawn at random, as deep as real ones differ (log-normal about --open islands, sigma 0.35), and batched by
depth as `annotate` batches them for prediction, and as training does, within the tokens that the recipe or the device
allows; of the islands of a cell the encoder sees as many as the recipe allows, or --max-open. The commands' settings
of the allocator are in force. A step of fine-tuning is forward, backward, clipping and AdamW on given scores of the
wide path; a step of pre-training is the objective `openness` on a batch that was read and masked before. The
published network is that of perf/encoder.py: dense, a loop over heads, separate Q, K, V, float32. With --bf16 the
others compute as `--precision bf16` has them: the encoder in bfloat16, heads and wide path in float32. With --compile
the encoder trains as torch.compile makes it, as the commands do on a GPU from a million cells on; predictions there in
bfloat16 are by fused kernels.

With --runs, whole epochs as well, as `pretrain` and `annotate` have them: cells are read, batched and masked, of 20,480
cells in memory, the best of three epochs; "(run)" stands behind the work. What is lost against steps is the loader's.

Floors of a step: its matrix multiplications (counted by torch) at the rate of a large square product on this machine;
and the bytes that must pass at the least through memory, at the rate of a copy: position vectors and, a layer, the
tokens' vectors read and written twice; three times that in training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from annatac.annotate import annotator
from annatac.annotate.blocks import BLOCK
from annatac.cli.allocator import keep_memory
from annatac.config import OptimConfig, Recipe
from annatac.corpus import CsrCells
from annatac.corpus.batches import CellsOnDevice, collate, plan_batches
from annatac.model import Network
from annatac.train.device import choose_precision
from annatac.train.loop import run
from annatac.train.pretraining import PretrainTask
from encoder import Published

RESULTS = Path(__file__).parent / "results"
N_CELLS, N_TYPES, PUBLISHED_ISLANDS = BLOCK, 16, 16_656
N_RUN = 20_480  # cells of a run


class Machine:
    """Its device, and the two rates by which floors are told."""

    def __init__(self, device: str, *, bf16: bool) -> None:
        self.device = torch.device(device)
        self.precision = choose_precision("bf16" if bf16 else "float32", self.device)
        is_gpu = self.device.type == "cuda"
        n = 8192 if is_gpu else 2048
        a, b = (torch.randn(n, n, device=self.device, dtype=self.precision) for _ in range(2))
        self.flop_s = 2 * n**3 / self.seconds(lambda: a @ b, 5)
        big = torch.empty(2**30 if is_gpu else 2**26, device=self.device)  # floats
        other = torch.empty_like(big)
        self.bytes_s = 8 * big.numel() / self.seconds(lambda: other.copy_(big), 5)

    def seconds(self, work: Callable[[], object], repeats: int) -> float:
        """Return the median time of a call; a first one is not counted."""
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            work()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        return statistics.median(times[1:])


def cells_like_real(n_islands: int, n_open: int, seed: int = 0, n_cells: int = N_CELLS) -> sp.csr_matrix:
    """Return cells whose open islands differ as those of real cells do, uint8 CSR."""
    random = np.random.default_rng(seed)
    lengths = np.minimum(random.lognormal(np.log(n_open), 0.35, n_cells).astype(int), n_islands // 2)
    indices = [np.unique(random.integers(n_islands, size=n)) for n in np.maximum(lengths, 5)]
    indptr = np.concatenate([[0], np.cumsum([len(i) for i in indices])])
    data = random.integers(1, 6, indptr[-1]).astype(np.uint8)
    return sp.csr_matrix((data, np.concatenate(indices).astype(np.int32), indptr), (n_cells, n_islands))


def recipe_of(name: str, options: argparse.Namespace) -> Recipe:
    """Return a shipped recipe, with the budget of islands that is asked for."""
    recipe = Recipe.load(name)
    if options.max_open is None:
        return recipe
    return replace(recipe, model=replace(recipe.model, max_open=options.max_open))


def budget_of(network: nn.Module) -> int:
    """Return how many islands of a cell the network sees at most when it names types; 0 for all."""
    return 0 if getattr(network, "budget", None) is None else network.budget.max_open


def batches_of(n_open: np.ndarray, size: int, config: OptimConfig) -> list[np.ndarray]:
    """Return the batches of an epoch of all cells."""
    budget = config.batch_tokens
    return plan_batches(np.arange(len(n_open)), n_open, batch_size=size, seed=0, epoch=0, token_budget=budget)


def steps_of(
    name: str, machine: Machine, n_islands: int, n_open: int, works: list[str], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row for each kind of work of one network."""
    recipe = recipe_of("paper" if name == "published" else name, options)
    torch.manual_seed(0)
    n_islands = PUBLISHED_ISLANDS if name == "published" else n_islands
    tokens = cells_like_real(n_islands, n_open)
    n_of = np.diff(tokens.indptr)
    n_batches = 1 if name == "published" else options.batches
    rows = []
    for work in works:
        config = recipe.pretrain if work == "pre-train" else recipe.finetune
        if name == "published":
            network: nn.Module = Published(n_islands, N_TYPES, recipe.model)
        else:
            network = Network(n_islands, 0 if work == "pre-train" else N_TYPES, recipe.model)
        network = network.to(machine.device)
        size = 1 if name == "published" else options.cells
        if work == "predict" and isinstance(network, Network):
            plan = annotator.batches_of(network, n_of, machine.device, size)
        else:
            plan = batches_of(n_of, size or config.batch_size, config)
        by_depth = sorted(plan, key=lambda rows: int(n_of[rows].max()))
        chosen = [by_depth[int((i + 0.5) / n_batches * len(plan))] for i in range(n_batches)]
        max_open = budget_of(network)
        seen = np.minimum(n_of, max_open or n_of.max())
        padded = sum(len(rows) * int(seen[rows].max()) for rows in plan)
        compiling: AbstractContextManager[None] = nullcontext()
        if isinstance(network, Network):
            network.encoder_dtype = machine.precision
            compiling = network.predicting() if work == "predict" else network.compiled(options.compile)
        step = _step(network, tokens, recipe, work, machine, chosen)
        n_cells = sum(map(len, chosen))
        n_tokens = sum(int(seen[each].sum()) for each in chosen)
        if name == "published":
            n_tokens = n_cells * n_islands
        with FlopCounterMode(display=False) as counter:
            step(counted=True)
        with compiling:
            seconds = machine.seconds(step, options.repeats)
        model = recipe.model
        least = n_tokens * 4 * (model.position_dim + model.depth * 4 * model.width)
        least *= 1 if work == "predict" else 3
        rows.append(
            {
                "network": name,
                "work": work,
                "n_islands": n_islands,
                "n_open": n_open,
                "max_open": max_open,
                "ms_a_cell": seconds / n_cells * 1e3,
                "cells_s": n_cells / seconds,
                "tokens_s": n_tokens / seconds,
                "flop_a_cell": counter.get_total_flops() / n_cells,
                "flop_s": counter.get_total_flops() / seconds,
                "share_of_matrix_rate": counter.get_total_flops() / seconds / machine.flop_s,
                "share_of_bandwidth": least / seconds / machine.bytes_s,
                "padding": 0.0 if name == "published" else 1 - int(seen.sum()) / padded,
            }
        )
    return rows


def _step(
    network: nn.Module, tokens: sp.csr_matrix, recipe: Recipe, work: str, machine: Machine, chosen: list[Any]
) -> Callable[..., None]:
    """Return what predicts, or takes an optimiser's step on, each of the chosen batches."""
    device = machine.device
    batches = [collate(tokens, rows).to(device) for rows in chosen]
    inputs = (
        [batch.dense(PUBLISHED_ISLANDS).classes_BN for batch in batches]
        if isinstance(network, Published)
        else []
    )
    scores = [torch.zeros(2, len(rows), N_TYPES, device=device) for rows in chosen]
    targets = [torch.arange(len(rows), device=device) % N_TYPES for rows in chosen]

    def logits(i: int, *, trains: bool) -> list[Tensor]:
        if isinstance(network, Published):
            return [network(inputs[i])]
        given = scores[i] if trains and network.wide is not None else None  # type: ignore[union-attr]
        output = network(batches[i], given)
        return [each for each in (output.logits_BC, output.readout_BC) if each is not None]

    if work == "predict":
        network.eval()

        def predict(*, counted: bool = False) -> None:
            # torch counts with gradients alone; a context anew each batch, as annotate has it
            for i in range(len(batches)):
                with torch.enable_grad() if counted else torch.inference_mode():
                    logits(i, trains=False)

        return predict
    network.train()
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    task = None
    if work == "pre-train":
        assert isinstance(network, Network)
        settings = {"training": np.arange(N_CELLS), "held_out": np.arange(0), "seed": 0, "device": device}
        precision = "bf16" if machine.precision == torch.bfloat16 else "float32"
        config = replace(recipe.pretrain, precision=precision)
        task = PretrainTask(network, CsrCells(tokens), config, **settings)
        asked = [task.read(rows, 0) for rows in chosen]

    def train(*, counted: bool = False) -> None:
        for i in range(len(chosen)):
            optimizer.zero_grad(set_to_none=True)
            if task is not None:
                loss = task.loss(asked[i]).mean
            else:
                losses = [nn.functional.cross_entropy(each, targets[i]) for each in logits(i, trains=True)]
                loss = torch.stack(losses).sum()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()

    return train


def runs_of(name: str, machine: Machine, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for epochs of pre-training and one for predictions, reading included."""
    recipe = recipe_of(name, options)
    tokens = cells_like_real(options.islands, options.open, n_cells=N_RUN)
    precision = "bf16" if options.bf16 else "float32"
    network = Network(options.islands, N_TYPES, recipe.model).to(machine.device)
    config = replace(recipe.pretrain, epochs=4, patience=9, precision=precision)
    settings = {"training": np.arange(N_RUN), "held_out": np.arange(0), "seed": 0, "device": machine.device}
    task = PretrainTask(network, CsrCells(tokens), config, **settings)
    with network.compiled(options.compile), tempfile.TemporaryDirectory() as folder:
        history = run(task, config, Path(folder) / "run", seed=0).history
    trained = max(epoch["cells_per_s"] for epoch in history[1:])
    n_open = np.diff(tokens.indptr)

    def predict() -> None:
        for first in range(0, N_RUN, BLOCK):
            part = _block(tokens, first)
            plan = annotator.batches_of(network, np.diff(part.indptr), machine.device)
            on_device = CellsOnDevice(part, machine.device)
            with network.predicting():
                found = [network(on_device.batch(rows)).logits_BC for rows in plan]
            for each in found:
                each.cpu()

    network.eval()
    network.encoder_dtype = machine.precision
    predicted = N_RUN / machine.seconds(predict, 3)
    return [
        {
            "network": name,
            "work": f"{work} (run)",
            "n_islands": options.islands,
            "n_open": options.open,
            "max_open": max_open,
            "ms_a_cell": 1e3 / cells_s,
            "cells_s": cells_s,
            "tokens_s": cells_s * float(np.minimum(n_open, max_open or n_open.max()).mean()),
        }
        for work, cells_s, max_open in (("pre-train", trained, 0), ("predict", predicted, budget_of(network)))
    ]


def _block(tokens: sp.csr_matrix, first: int) -> sp.csr_matrix:
    """Return some cells of a matrix, their counts where they lie."""
    bounds = tokens.indptr[first : first + BLOCK + 1]
    part = slice(bounds[0], bounds[-1])
    shape = (len(bounds) - 1, tokens.shape[1])
    return sp.csr_matrix((tokens.data[part], tokens.indices[part], bounds - bounds[0]), shape, copy=False)


def _profile(step: Callable[[], None], device: torch.device) -> str:
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    step()
    with torch.profiler.profile(activities=kinds) as found:
        step()
    by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return str(found.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=40))


def _record(rows: list[dict[str, Any]], machine: Machine, options: argparse.Namespace) -> None:
    """Write the rows into the results; older ones of the same kind go."""
    for row in rows:
        row |= {"compiled": options.compile, "threads": options.threads}
    path = RESULTS / f"throughput_{machine.device.type}{'_bf16' if options.bf16 else ''}.json"
    old = json.loads(path.read_text())["rows"] if path.is_file() else []
    same = {_what(row) for row in rows}
    name = torch.cuda.get_device_name() if machine.device.type == "cuda" else f"{os.cpu_count()} cores"
    content = {
        "machine": name,
        "flop_s": machine.flop_s,
        "bytes_s": machine.bytes_s,
        "rows": [*(row for row in old if _what(row) not in same), *rows],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def _what(row: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("network", "work", "n_islands", "n_open")
    return *(row[key] for key in keys), row.get("max_open", 0), row.get("compiled", False)


def _show(row: dict[str, Any]) -> str:
    if "flop_s" not in row:
        return (
            f"{row['network']:10s} {row['work']:10s} {row['n_islands']:8,d} {row['n_open']:6,d} "
            f"{row['ms_a_cell']:9.2f} {row['cells_s']:9.1f} {row['tokens_s'] / 1e6:8.2f}"
        )
    return (
        f"{row['network']:10s} {row['work']:10s} {row['n_islands']:8,d} {row['n_open']:6,d} {row['ms_a_cell']:9.2f} "
        f"{row['cells_s']:9.1f} {row['tokens_s'] / 1e6:8.2f} {row['flop_s'] / 1e9:9.1f} "
        f"{row['share_of_matrix_rate']:7.0%} {row['share_of_bandwidth']:9.0%} {row['padding']:8.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=["default", "large", "published"])
    parser.add_argument("--works", nargs="+", default=["predict", "fine-tune", "pre-train"])
    parser.add_argument(
        "--islands", type=int, default=250_000, help="universe; the published network has 16,656"
    )
    parser.add_argument("--open", type=int, default=1_500)
    parser.add_argument(
        "--depths", nargs="*", type=int, default=[], help="predict at so many open islands a cell"
    )
    parser.add_argument(
        "--universes", nargs="*", type=int, default=[], help="predict in universes of such sizes"
    )
    parser.add_argument("--batches", type=int, default=3, help="of a plan, from shallow to deep")
    parser.add_argument(
        "--cells", type=int, help="of a batch at the most; else as annotate and the recipe have it"
    )
    parser.add_argument(
        "--max-open", type=int, help="islands of a cell that the encoder sees; else the recipe's"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="the encoder in bfloat16, as --precision bf16; so is the matrix rate",
    )
    parser.add_argument("--compile", action="store_true", help="the encoder as torch.compile makes it")
    parser.add_argument("--runs", action="store_true", help="also whole epochs, with reading")
    parser.add_argument("--profile", action="store_true", help="print where the time of a training step goes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    machine = Machine(options.device, bf16=options.bf16)
    print(f"matrix rate {machine.flop_s / 1e9:,.1f} GFLOP/s, copy {machine.bytes_s / 1e9:.1f} GB/s")
    print(
        f"{'network':10s} {'work':10s} {'islands':>8s} {'open':>6s} {'ms/cell':>9s} {'cells/s':>9s} {'Mtoken/s':>8s} "
        f"{'GFLOP/s':>9s} {'of rate':>7s} {'of memory':>9s} {'padding':>8s}"
    )
    rows: list[dict[str, Any]] = []
    asked = [(name, options.islands, options.open, options.works) for name in options.networks]
    asked += [("default", options.islands, n_open, ["predict"]) for n_open in options.depths]
    asked += [("default", n_islands, options.open, ["predict"]) for n_islands in options.universes]
    for name, n_islands, n_open, works in asked:
        fits = [
            work for work in works if (name, work) != ("published", "pre-train")
        ]  # its mask head is one matrix
        for row in steps_of(name, machine, n_islands, n_open, fits, options):
            rows.append(row)
            print(_show(row), flush=True)
            _record(rows, machine, options)
    for name in options.networks if options.runs else []:
        for row in runs_of(name, machine, options):
            rows.append(row)
            print(_show(row), flush=True)
            _record(rows, machine, options)
    if options.profile:
        recipe = Recipe.load(options.networks[0])
        tokens = cells_like_real(options.islands, options.open)
        network = Network(options.islands, N_TYPES, recipe.model).to(machine.device)
        network.encoder_dtype = machine.precision
        rows_of_batch = np.arange(recipe.finetune.batch_size)
        step = _step(network, tokens, recipe, "fine-tune", machine, [rows_of_batch])
        with network.compiled(options.compile):
            print(_profile(step, machine.device))


if __name__ == "__main__":
    main()
