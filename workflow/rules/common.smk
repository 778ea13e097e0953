# Settings and samples, checked once before anything runs; what several rules share.

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from scripts.programs import ProgramError, check_programs
from scripts.reads import ReadsError, check_fastqs
from scripts.samples import SheetError, read_samples
from scripts.settings import SettingsError, read_settings


def is_counted(output, sample):
    """Tell whether Cell Ranger is done with a sample."""
    return Path(f"{output}/counts/{sample.name}/outs/fragments.tsv.gz").exists()


def _checked():
    """Return the settings, and the samples by name."""
    try:
        settings = read_settings(config)
        samples = read_samples(settings.samples)
        for sample in samples:
            removed = not all(Path(folder).is_dir() for folder in sample.fastqs)
            if sample.fastqs and not (removed and is_counted(settings.output, sample)):
                check_fastqs(sample)
    except (SettingsError, SheetError, ReadsError) as error:
        raise WorkflowError(str(error)) from None
    return settings, {sample.name: sample for sample in samples}


SETTINGS, SAMPLES = _checked()
OUT = SETTINGS.output
PROGRAMS = SETTINGS.programs  # no params of the rules: a program that has moved is no reason to do all again
SCRIPTS = f"{workflow.basedir}/scripts"


wildcard_constraints:
    sample="|".join(SAMPLES),
    run="[SED]RR[0-9]+",


def wanted():
    """Return what the settings ask for."""
    files = expand(f"{OUT}/counts/{{sample}}/outs/filtered_peak_bc_matrix.h5", sample=SAMPLES)
    if SETTINGS.corpus:
        files.append(f"{OUT}/corpus.done")
    if SETTINGS.model:
        files += expand(f"{OUT}/labels/{{sample}}.h5ad", sample=SAMPLES)
    return files


def check_programs_of_this_run():
    """Refuse to start where a program is missing that this run needs; say which versions there are."""
    to_count = [sample for sample in SAMPLES.values() if not is_counted(OUT, sample)]
    names = ["annatac"] if SETTINGS.corpus or SETTINGS.model else []
    names += ["cellranger-atac"] if to_count else []
    names += ["fasterq-dump"] if any(sample.runs for sample in to_count) else []
    try:
        for name, version in check_programs(names, PROGRAMS).items():
            logger.info(f"{name}: {version}")
    except ProgramError as error:
        raise WorkflowError(str(error)) from None
