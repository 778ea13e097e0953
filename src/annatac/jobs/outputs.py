"""What a command will write: checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from annatac.io.atomic import check_writable
from annatac.pl.canvas import check_picture

MaybePath = str | Path | None


def check_outputs(*files: MaybePath, pictures: Sequence[MaybePath] = ()) -> None:
    """Refuse files that cannot be written, and pictures whose ending tells no format; None is no file.

    Raises
    ------
    OutputError
        A folder is none, or is not writable.
    ConfigError
        The ending of a picture.
    """
    for picture in pictures:
        if picture is not None:
            check_picture(picture)
    for file in (*files, *pictures):
        if file is not None:
            check_writable(file)
