"""``corpus.json``: what a corpus holds, sample by sample. It is the last file that is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from annatac import __version__
from annatac.corpus.shards import Shard
from annatac.errors import DamagedFileError, InputError, MissingFileError
from annatac.io.atomic import atomic_path
from annatac.pp.universe import Universe

FORMAT = "annatac corpus"
VERSION = 1
FILE = "corpus.json"
ISLANDS = "islands.tsv.gz"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The file or folder that a sample was read from: absolute path, bytes, time of its last change, SHA-256."""

    path: str
    bytes: int
    modified: float
    sha256: str | None = None

    @classmethod
    def of(cls, path: str | Path, *, checksum: bool = False) -> Source:
        """Return that of a path; of a folder, what it holds counts. ``checksum`` reads all of it.

        Raises
        ------
        MissingFileError
            Nothing has this name.
        """
        path = Path(path).absolute()
        if not path.exists():
            raise MissingFileError(
                f"{path} does not exist. Check the name, and the folder it is looked for in."
            )
        files = _files(path)
        facts = [file.stat() for file in files]
        return cls(
            path=str(path.resolve()),
            bytes=sum(fact.st_size for fact in facts),
            modified=max((fact.st_mtime for fact in facts), default=0.0),
            sha256=_content_of(path) if checksum else None,
        )

    def unchanged(self, now: Source) -> bool:
        """Tell whether a path as it is ``now`` holds what was read: it was not touched, or its content is the same."""
        if self.bytes != now.bytes:
            return False
        if (self.path, self.modified) == (now.path, now.modified):
            return True
        return self.sha256 is not None and self.sha256 == (now.sha256 or _content_of(Path(now.path)))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample: its cells, its shards, and what it was read from (None for cells given in memory).

    Attributes
    ----------
    known
        Share of its counts that lie in islands of the universe.
    n_counts
        Sum of its islands' counts, those outside the universe included; None where it is not known.
    counted
        What was counted, 'peaks' or 'fragments'.
    options
        Options that it was read with, by name.
    """

    name: str
    n_cells: int
    n_tokens: int
    shards: tuple[Shard, ...]
    source: Source | None = None
    known: float = 1.0
    n_counts: int | None = None
    counted: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Sample:
        """Return the sample of a dictionary as :func:`dataclasses.asdict` makes it."""
        shards = tuple(Shard(**shard) for shard in content["shards"])
        source = None if content["source"] is None else Source(**content["source"])
        return cls(**{**content, "shards": shards, "source": source})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that ``corpus.json`` says."""

    universe_id: str
    n_islands: int
    genome: str | None
    bin_size: int | None
    island_settings: dict[str, Any]
    samples: tuple[Sample, ...] = ()
    annatac: str = field(default=__version__)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return sum(sample.n_cells for sample in self.samples)

    @property
    def n_tokens(self) -> int:
        """Number of open islands of all cells."""
        return sum(sample.n_tokens for sample in self.samples)

    @property
    def checksum(self) -> str:
        """SHA-256 of the universe and the shards' checksums: another one for other cells."""
        parts = [self.universe_id, *(shard.sha256 for sample in self.samples for shard in sample.shards)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def with_sample(self, sample: Sample) -> Manifest:
        """Return the manifest with one sample more."""
        return replace(self, samples=(*self.samples, sample))

    def save(self, folder: Path) -> None:
        """Write ``corpus.json``, whole or not at all."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        content["sha256"] = _digest(content)
        with atomic_path(folder / FILE) as path:
            path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read ``corpus.json``.

        Raises
        ------
        MissingFileError, InputError, DamagedFileError
            There is none; it is of another kind or version; it is damaged or was altered.
        """
        path = folder / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingFileError(
                f"{folder} is no corpus, or one that was not finished: it has no {FILE}. Make one with "
                "`annatac prepare INPUT... -o FOLDER`."
            ) from error
        except (OSError, ValueError) as error:
            raise DamagedFileError(f"{path} cannot be read ({error}). Copy the corpus again.") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path} is not that of a corpus: its format is not '{FORMAT}'.")
        if content.get("version") != VERSION:
            raise InputError(
                f"{path} has format version {content.get('version')}, this annatac {__version__} reads version "
                f"{VERSION}. Install the annatac that wrote it ({content.get('annatac')}), or write it again."
            )
        if content.pop("sha256", None) != _digest(content):
            raise DamagedFileError(f"{path} was altered or damaged. Copy the corpus again.")
        del content["format"], content["version"]
        samples = tuple(Sample.from_dict(sample) for sample in content.pop("samples"))
        return cls(samples=samples, **content)


def joined(manifests: Sequence[Manifest], folders: Sequence[Path]) -> Manifest:
    """Return one manifest with the samples of all, which lie in ``folders``.

    Raises
    ------
    InputError
        Other universes, islands made in another way, or the same cells twice.
    """
    first = manifests[0]
    holder: dict[str, int] = {}
    for i, (manifest, folder) in enumerate(zip(manifests, folders, strict=True)):
        if manifest.universe_id != first.universe_id:
            raise InputError(
                f"The corpora {folders[0]} ({first.n_islands:,} islands on {first.genome or 'no assembly'}) and "
                f"{folder} ({manifest.n_islands:,} on {manifest.genome or 'no assembly'}) are over other "
                "universes. Write them again over one: `annatac prepare ... --universe`."
            )
        if manifest.island_settings != first.island_settings:
            raise InputError(
                f"The islands of {folders[0]} and {folder} were made in different ways "
                f"({first.island_settings} and {manifest.island_settings}). Write one of them again."
            )
        for sample in manifest.samples:
            for shard in sample.shards:
                other = holder.setdefault(shard.sha256, i)
                if other != i:
                    raise InputError(
                        f"The cells of sample '{sample.name}' of {folder} are in {folders[other]} too. Name each "
                        "corpus once, and leave copies out."
                    )
    return replace(first, samples=tuple(sample for manifest in manifests for sample in manifest.samples))


def is_corpus(path: str | Path) -> bool:
    """Return whether a path is the folder of a corpus."""
    return (Path(path) / FILE).is_file()


def universe_id(universe: Universe) -> str:
    """Return the SHA-256 of assembly and islands: the same for all that number the islands alike."""
    digest = hashlib.sha256(f"{universe.genome}\n".encode())
    digest.update("\n".join(map(str, universe.names)).encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _content_of(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of its files' names and contents."""
    digests = []
    for file in _files(path):
        with file.open("rb") as handle:
            digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
    if not path.is_dir():
        return digests[0]
    names = [file.relative_to(path).as_posix() for file in _files(path)]
    return hashlib.sha256("\n".join([*names, *digests]).encode()).hexdigest()


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
