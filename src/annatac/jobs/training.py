"""Training from files: a base model from unlabelled cells, an annotator from labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annatac.config import Recipe
from annatac.errors import ConfigError, OutputError
from annatac.io.atomic import check_writable
from annatac.jobs.processes import together
from annatac.jobs.reading import label_column, read_checked

if TYPE_CHECKING:
    from annatac.annotate.annotator import Annotator


@together
def finetune(
    references: Sequence[str | Path],
    output: str | Path,
    *,
    label_key: str | None = None,
    labels: str | Path | None = None,
    batch_key: str | None = None,
    recipe: str | Path = "default",
    epochs: int | None = None,
    base: str | Path | None = None,
    chain: str | Path | None = None,
    genes: str | Path | None = None,
    bin_size: int = 5000,
    seed: int = 0,
    device: str = "auto",
    precision: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    keep_reference: bool = True,
    keep_mislabelled: bool = False,
    hierarchy: str | Path = "cell-ontology",
    progress: bool = False,
    **reading: Any,
) -> Annotator:
    """Read labelled references, train a model on them and write its folder.

    Parameters
    ----------
    label_key, labels
        Column of obs with the types, or a table of barcode and type (``obs['cell_type']`` then).
    epochs, precision, keep_mislabelled
        Instead of those of the recipe.
    reading
        ``genome``, ``peaks``, ``barcodes``, ``min_fragments``, ``chrom_sizes`` as in :func:`annatac.read`.

    The other parameters, the result and the errors are those of :func:`annatac.finetune`.
    """
    from annatac.annotate.fit import finetune as train

    column = label_column(label_key, labels)
    mislabelled = "keep" if keep_mislabelled else None
    settings = _recipe(recipe, "finetune", epochs=epochs, precision=precision, mislabelled=mislabelled)
    _refuse_early(output, overwrite=overwrite)
    adata = read_checked(
        references, genes=genes, labels=labels, label_key=label_key, bin_size=bin_size, **reading
    )
    return train(
        adata,
        label_key=column,
        output=output,
        batch_key=batch_key,
        recipe=settings,
        base=base,
        chain=chain,
        genes=genes,
        bin_size=bin_size,
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        keep_reference=keep_reference,
        hierarchy=hierarchy,
        progress=progress,
    )


@together
def pretrain(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    recipe: str | Path = "default",
    epochs: int | None = None,
    genes: str | Path | None = None,
    bin_size: int | None = None,
    profiles: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    **reading: Any,
) -> Path:
    """Pre-train a base model on unlabelled cells, of files that are read or of corpora that are streamed.

    ``profiles``: an ``.h5ad`` of bulk profiles, types x peaks. Other parameters as in :func:`finetune`; the result
    and the errors are those of :func:`annatac.pretrain`.

    Raises
    ------
    ConfigError
        Corpora and other inputs together, or options of reading with corpora.
    """
    from annatac.corpus import Corpus, is_corpus
    from annatac.io import read_one
    from annatac.train.pretraining import pretrain as train

    settings = _recipe(recipe, "pretrain", epochs=epochs, precision=precision)
    _refuse_early(output, overwrite=overwrite)
    corpora = [path for path in inputs if is_corpus(path)]
    if corpora:
        _only_corpora(corpora, inputs, reading | {"gtf": genes})
    return train(
        Corpus.open(*corpora)
        if corpora
        else read_checked(inputs, genes=genes, bin_size=bin_size or 5000, **reading),
        output=output,
        recipe=settings,
        genes=genes,
        bin_size=bin_size,
        profiles=None if profiles is None else read_one(profiles),
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def _only_corpora(
    corpora: Sequence[str | Path], inputs: Sequence[str | Path], reading: dict[str, Any]
) -> None:
    """Refuse what does not go with a corpus: it was read, checked and put into islands when it was written."""
    if len(corpora) < len(inputs):
        other = next(path for path in inputs if path not in corpora)
        raise ConfigError(
            f"{corpora[0]} is a corpus, {other} is none. Add it with `annatac prepare {other} -o {corpora[0]}`, "
            "and pre-train on the corpus."
        )
    given = [name for name, value in reading.items() if value is not None]
    if given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')} is an option of `annatac prepare`: the corpus {corpora[0]} has "
            "been read. Leave it out."
        )


def _refuse_early(output: str | Path, *, overwrite: bool) -> None:
    """Refuse an output that exists or cannot be written, before the inputs are read."""
    from annatac.train.distributed import is_first

    if not is_first():  # who writes, checks
        return
    if Path(output).exists() and not overwrite:
        raise OutputError(f"{output} exists already. Pass --overwrite to replace it, or choose another name.")
    check_writable(output)


def _recipe(name: str | Path, phase: str, **instead: Any) -> Recipe:
    """Return a recipe with some settings of a phase replaced, those that are given."""
    recipe = Recipe.load(name)
    given = {key: value for key, value in instead.items() if value is not None}
    return replace(recipe, **{phase: replace(getattr(recipe, phase), **given)})
