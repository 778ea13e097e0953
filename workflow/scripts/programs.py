"""The programs that the workflow calls: are they there, and which versions?"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping

#: What is needed and where it is to be had.
WHERE = {
    "annatac": "annatac, this package: pip install annatac",
    "cellranger-atac": "Cell Ranger ATAC 2.0 or later: https://www.10xgenomics.com/support/software/cell-ranger-atac",
    "fasterq-dump": "SRA Toolkit 3.0 or later: https://github.com/ncbi/sra-tools/wiki",
}
_SECONDS = 60


class ProgramError(RuntimeError):
    """Programs are missing; the message names all of them, their versions and where they are to be had."""


def check_programs(names: Iterable[str], paths: Mapping[str, str]) -> dict[str, str]:
    """Return what each program says of its version.

    Parameters
    ----------
    names
        Of those that are needed.
    paths
        Name -> what is called: a name on the PATH, or a whole path.

    Raises
    ------
    ProgramError
        Some are not there, or do not run.
    """
    versions: dict[str, str] = {}
    wrong: list[str] = []
    for name in names:
        found = shutil.which(paths[name])
        if found is None:
            wrong.append(f"  {paths[name]} is not on the PATH. It belongs to {WHERE[name]}")
            continue
        try:
            said = subprocess.run(
                [found, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True
            )
            versions[name] = " ".join((said.stdout or said.stderr).split()) or "no version stated"
        except (OSError, subprocess.SubprocessError) as error:
            wrong.append(f"  {found} does not run ({error}). It belongs to {WHERE[name]}")
    if wrong:
        raise ProgramError(
            "Programs are missing:\n"
            + "\n".join(wrong)
            + "\nInstall them, load their modules, or give their paths "
            "under 'programs' in config.yaml."
        )
    return versions
