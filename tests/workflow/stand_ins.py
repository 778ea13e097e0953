"""Stand-ins for the two external programs: they take the options of the real ones and write what these would.

``STAND_IN`` (environment) is a folder with an ``outs`` of every sample, and with what should go wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

FASTERQ_DUMP = """#!{python}
import argparse, os, pathlib
parser = argparse.ArgumentParser(prog="fasterq-dump", allow_abbrev=False)
parser.add_argument("--version", action="version", version='"fasterq-dump" version 3.1.0')
for flag in ("--split-files", "--include-technical"):
    parser.add_argument(flag, action="store_true", required=True)
for option in ("--threads", "--temp", "--outdir"):
    parser.add_argument(option, required=True)
parser.add_argument("run")
o = parser.parse_args()
for number, n in ((1, 8), (2, 50), (3, 16), (4, 49)):
    record = f"@{{o.run}}.1\\n{{'A' * n}}\\n+\\n{{'F' * n}}\\n"
    pathlib.Path(o.outdir, f"{{o.run}}_{{number}}.fastq").write_text(record)
"""

CELLRANGER_ATAC = """#!{python}
import argparse, os, pathlib, shutil, sys
parser = argparse.ArgumentParser(prog="cellranger-atac", allow_abbrev=False)
parser.add_argument("--version", action="version", version="cellranger-atac cellranger-atac-2.1.0")
count = parser.add_subparsers(required=True).add_parser("count")
for option in ("--id", "--reference", "--fastqs", "--sample", "--localcores", "--localmem"):
    count.add_argument(option, required=True)
count.add_argument("--disable-ui", action="store_true")
count.add_argument("--force-cells", type=int)
o = parser.parse_args()
run, stand_in = pathlib.Path(o.id), pathlib.Path(os.environ["STAND_IN"])
if run.exists() and not (run / "_invocation").exists():
    sys.exit(f"error: {{run}} is not a pipestance directory")
if (run / "_lock").exists():
    sys.exit("error: pipestance already exists and is locked by another Martian instance")
resumed = run.exists()
run.mkdir(exist_ok=True)
for name in ("_invocation", "_lock"):
    (run / name).touch()
if not pathlib.Path(o.reference, "reference.json").is_file():
    sys.exit("error: no reference")
for prefix in o.sample.split(","):
    found = [f for d in o.fastqs.split(",") for f in pathlib.Path(d).rglob(f"{{prefix}}_S*_R2_001.fastq.gz")]
    if not found:
        sys.exit(f"error: no FASTQ of {{prefix}} in {{o.fastqs}}")
if (stand_in / f"{{o.id}}.fails").exists():
    (stand_in / f"{{o.id}}.fails").unlink()
    sys.exit("error: the node went down")
shutil.copytree(stand_in / o.id, run / "outs")
(run / "_lock").unlink()
print("counted", o.id, "resumed" if resumed else "anew", "force-cells", o.force_cells)
"""

ANNATAC = """#!{python}
import sys
from annatac.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""


def write(folder: Path) -> None:
    """Write the programs into ``folder``, which is to be put on the PATH; ``annatac`` is the real one."""
    folder.mkdir()
    for name, text in (
        ("fasterq-dump", FASTERQ_DUMP),
        ("cellranger-atac", CELLRANGER_ATAC),
        ("annatac", ANNATAC),
    ):
        (folder / name).write_text(text.format(python=sys.executable))
        (folder / name).chmod(0o755)
