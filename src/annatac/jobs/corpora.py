"""Many samples -> a corpus on disk, in parallel and resumable; what a corpus holds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annatac.corpus.manifest import Manifest, Sample, Source, universe_id
from annatac.corpus.writer import CorpusWriter, check_folder, open_for_writing
from annatac.errors import AnnatacError, AnnatacWarning, ConfigError, InputError, Interrupted, OutputError
from annatac.io.atomic import check_writable
from annatac.io.sniff import sniff
from annatac.jobs.corpus_islands import existing_universe, mark, new_universe
from annatac.jobs.intake import Intake, Staged, take_in
from annatac.jobs.parallel import SchedulerLost, has_dask, run_all
from annatac.pp.reading import sample_names

Outcome = Sample | Exception | None  # added, failed, or in the corpus already


@dataclass
class CorpusReport:
    """Samples that were added, those that were there already, and what was wrong with the others."""

    manifest: Manifest
    added: list[Sample] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)


def prepare_corpus(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    universe: str | Path | None = None,
    genome: str | None = None,
    islands: str = "all",
    genes: str | Path | None = None,
    bin_size: int | None = None,
    assign: str = "midpoint",
    openness: str = "mean",
    blacklist: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    lift_to: str | None = None,
    chain: str | Path | None = None,
    on_sample: Callable[[str, Outcome], None] | None = None,
    **reading: Any,
) -> CorpusReport:
    """Add samples to a corpus, which is made if there is none; those that it holds already are left out.

    Samples are read and put into islands by ``workers`` processes; this one alone extends the manifest, sample
    by sample, so that whatever happens the corpus holds whole samples. The same command goes on where one was
    stopped.

    Parameters
    ----------
    inputs
        Files or folders as :func:`annatac.read` takes them, one a sample; ``NAME=PATH`` gives it a name.
    output
        Folder of the corpus.
    universe
        Of a new corpus: a model, a corpus, or an ``islands.tsv.gz``; else all bins of the assembly.
    genome, islands, genes, bin_size
        Of the bins, as in :func:`annatac.pp.bins.all_islands`; ``genes`` also check the assembly.
    assign, openness, blacklist
        As in :func:`annatac.pp.peak_islands`; the same for all samples of a corpus.
    workers
        Processes of a local Dask cluster; by default as many as there are cores and samples.
    scheduler
        Address of a Dask scheduler to use instead.
    lift_to, chain
        The corpus's assembly, where samples are on another one, which ``genome`` or they themselves name: their
        peaks and fragments are lifted. As in :func:`annatac.jobs.prepare`.
    on_sample
        Is told each sample's name with what became of it.
    reading
        ``peaks``, ``barcodes``, ``min_fragments``, ``chrom_sizes`` as in :func:`annatac.read`.

    Raises
    ------
    ConfigError, OutputError
        Options that do not fit, or not the corpus that exists; another process writes; the disk is full.
    InputError
        Some samples could not be added: it names them, the others are in the corpus.
    Interrupted, SchedulerLost
        Ctrl-C; the Dask scheduler ended. Samples that were finished are in the corpus.
    """
    output = Path(output)
    check_folder(output)
    check_writable(output)
    named = _named(inputs)
    counting = {"assign": assign, "openness": openness}
    made = {"islands": "given" if universe else islands, **counting, "blacklist": mark(blacklist)}
    if lift_to is None and chain is not None:
        raise ConfigError(f"{chain} leads between two assemblies: name the corpus's with --lift-to.")
    on = lift_to or genome
    where = existing_universe(output, made, genome=on, bin_size=bin_size, universe=universe)
    if where is None:
        where = new_universe(universe, genome=on, islands=islands, genes=genes, bin_size=bin_size)
    options = {name: mark(value) for name, value in reading.items() if value is not None}
    settings = {"bin_size": where.bin_size, **made, "standard_chromosomes": True}
    common: dict[str, Any] = {
        "corpus": output.absolute(),
        "universe_id": universe_id(where),
        "genome": _absolute(genome),
        "genes": _absolute(genes),
        "islands": {**counting, "blacklist": _absolute(blacklist)},
        "reading": {name: _absolute(value) for name, value in reading.items() if value is not None},
        "lifts": lift_to is not None,
        "chain": _absolute(chain),
    }
    with open_for_writing(output, where, island_settings=settings) as writer:
        report = CorpusReport(writer.manifest)
        try:
            todo = []
            for name, path in named:
                outcome = _planned(writer.manifest, name, path, options, reading)
                if isinstance(outcome, Source):
                    todo.append(Intake(name=name, path=path.absolute(), source=outcome, **common))
                else:
                    _note(report, name, outcome, on_sample)
            n_workers = _workers(workers, scheduler, len(todo))
            for number, staged in run_all(take_in, todo, workers=n_workers, scheduler=scheduler):
                name = todo[number].name
                _note(report, name, _adopted(writer, name, staged, options), on_sample)
            writer.sort([name for name, _ in named])  # not in the order in which workers ended
        except (OutputError, SchedulerLost) as error:
            raise type(error)(f"{error} {_kept(report, named, output)}") from error
        except KeyboardInterrupt as error:
            raise Interrupted(f"Stopped. {_kept(report, named, output)}") from error
        report.manifest = writer.manifest
    if report.failed:
        raise InputError(_failures(report, output))
    return report


def _adopted(
    writer: CorpusWriter, name: str, staged: Staged | Exception, options: dict[str, str]
) -> Sample | Exception:
    """Put a finished sample into the corpus; return it, or what was wrong. A full disk ends it all."""
    if isinstance(staged, OutputError):
        raise staged
    if isinstance(staged, Exception):
        return staged
    for message in staged.warnings:
        warnings.warn(f"Sample '{name}': {message}", AnnatacWarning, stacklevel=3)
    try:
        return writer.adopt(name, staged.place, staged.shards, options=options, **staged.facts)
    except InputError as error:
        return error


def _planned(
    manifest: Manifest, name: str, path: Path, options: dict[str, str], reading: dict[str, Any]
) -> Source | Exception | None:
    """Return what is to be read of a sample; None where the corpus has it; or what is wrong with it."""
    wants_fragments = any(reading.get(option) is not None for option in ("peaks", "min_fragments"))
    try:
        source = Source.of(sniff(path, prefer_fragments=wants_fragments)[1])
        held = next((sample for sample in manifest.samples if sample.name == name), None)
        if held is None:
            return source
        if held.source is None or not held.source.unchanged(source):
            return InputError(
                f"The corpus has a sample '{name}' that was read from something else "
                f"({held.source.path if held.source else 'memory'}, or another state of it). Give this one another "
                f"name: NAME={path}."
            )
        if held.options != options:
            return InputError(
                f"The corpus has '{name}' already, read with other options ({_shown(held.options)}; now "
                f"{_shown(options)}). Repeat them, or write another corpus."
            )
    except (InputError, OSError) as error:
        return error
    return None


def _note(
    report: CorpusReport, name: str, outcome: Outcome, on_sample: Callable[[str, Outcome], None] | None
) -> None:
    if isinstance(outcome, Sample):
        report.added.append(outcome)
    elif outcome is None:
        report.skipped.append(name)
    else:
        report.failed[name] = outcome
    if on_sample is not None:
        on_sample(name, outcome)


def _named(inputs: Sequence[str | Path]) -> list[tuple[str, Path]]:
    """Return names and paths of the samples; ``NAME=PATH`` where there is no such path."""
    if not inputs:
        raise ConfigError("No input was given. Give the path of a matrix or of fragments.")
    paths, own = [], []
    for text in map(str, inputs):
        name, equals, path = text.partition("=")
        given = bool(equals and name and path) and not Path(text).exists()
        paths.append(Path(path if given else text))
        own.append(name if given else None)
    derived = iter(sample_names([path for path, name in zip(paths, own, strict=True) if name is None]))
    names = [name or next(derived) for name in own]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"Two samples are called '{twice[0]}'. Give them names of their own: NAME=PATH.")
    return list(zip(names, paths, strict=True))


def _workers(workers: int | None, scheduler: str | None, n_samples: int) -> int:
    if workers is not None and scheduler is not None:
        raise ConfigError("--scheduler has workers of its own. Leave --workers out.")
    if workers is not None or scheduler is not None:
        return min(workers or 1, max(n_samples, 1))
    wanted = min(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, n_samples
    )
    if wanted > 1 and not has_dask():
        warnings.warn(
            "Samples are read one after the other: `pip install 'annatac[dask]'` reads several at once.",
            AnnatacWarning,
            stacklevel=3,
        )
        return 1
    return wanted


def _absolute(value: Any) -> Any:
    """Return the whole path of a file, which workers look for from elsewhere; anything else as it is."""
    return str(Path(value).absolute()) if isinstance(value, str | Path) and Path(value).is_file() else value


def _shown(options: dict[str, str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items()) or "none"


def _kept(report: CorpusReport, named: Sequence[tuple[str, Path]], folder: Path) -> str:
    n_in = len(report.added) + len(report.skipped)
    if not n_in:
        return "No sample was finished."
    return f"{n_in} of {len(named)} samples are in {folder}: the same command adds the others."


def _failures(report: CorpusReport, folder: Path) -> str:
    n_in, n_failed = len(report.added) + len(report.skipped), len(report.failed)
    kept = f"{n_in} are in it" if n_in else "it was not made"
    if n_in == 0 and report.manifest.samples:
        kept = "it is as it was"
    what = []
    for name, error in report.failed.items():
        foreign = "" if isinstance(error, AnnatacError | OSError) else f"{type(error).__name__}: "
        what.append(f"  {name}: {foreign}{error}")
    return (
        f"{n_failed} of {n_in + n_failed} samples could not be added to {folder}; {kept}.\n"
        + "\n".join(what)
        + "\nMend or leave out these, and repeat the command."
    )
