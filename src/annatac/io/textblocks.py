"""Large text files, plain or gzipped, as blocks of whole lines, unpacked ahead in a thread."""

from __future__ import annotations

import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from annatac.errors import AnnatacWarning, DamagedFileError, InputError, MissingFileError

BLOCK_BYTES = 1 << 20  # of text; the arrays made from a block then stay in the processor's cache
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # an empty block
_READ_BYTES = 1 << 16  # of compressed input; small, because zlib copies what follows a gzip member

In = TypeVar("In")
Out = TypeVar("Out")


def open_checked(path: Path) -> BinaryIO:
    """Open ``path`` for reading bytes, or say why that is impossible."""
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise MissingFileError(f"{path} does not exist. Check the name and the folder.") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: no permission. Ask its owner for read access.") from error


def is_gzip(path: Path) -> bool:
    """Whether the file starts as gzip does, whatever it is called."""
    with open_checked(path) as file:
        return file.read(2) == b"\x1f\x8b"


def _damaged(path: Path, found: str) -> DamagedFileError:
    return DamagedFileError(
        f"{path} is damaged: {found}. Expected a whole gzip file; copy or download it again "
        f"(`gzip -t {path.name}` tests it)."
    )


def _unpacked(path: Path, block_bytes: int) -> Iterator[bytes]:
    """Yield the text in pieces; gzip members (bgzip blocks) are followed one after the other."""
    with open_checked(path) as file:
        if not is_gzip(path):
            while piece := file.read(block_bytes):
                yield piece
            return
        member = zlib.decompressobj(31)
        n_bytes = 0
        bgzip = False
        tail = b""
        ends_line = True
        fresh = True
        while packed := file.read(_READ_BYTES):
            n_bytes += len(packed)
            bgzip = packed[12:14] == b"BC" if not tail else bgzip
            tail = (tail + packed)[-len(_BGZIP_END) :]
            while packed:
                if fresh and not packed.strip(b"\0"):
                    break  # zero padding after the last member is allowed, as in gzip itself
                try:
                    text = member.decompress(packed)
                except zlib.error as error:
                    raise _damaged(path, f"unpacking fails within its first {n_bytes:,} bytes") from error
                fresh = False
                packed = b""
                if member.eof:
                    packed = member.unused_data
                    member = zlib.decompressobj(31)
                    fresh = True
                if text:
                    ends_line = text.endswith(b"\n")
                    yield text
        if not fresh:
            raise _damaged(
                path, f"it ends in the middle of a gzip block, after {n_bytes:,} bytes (truncated)"
            )
        if bgzip and tail != _BGZIP_END:
            if not ends_line:
                raise _damaged(path, f"it ends in the middle of a line, after {n_bytes:,} bytes (truncated)")
            warnings.warn(
                f"{path} lacks the empty block at which bgzip files end; it may be truncated. Compare its "
                "size "
                "with that of the original.",
                AnnatacWarning,
                stacklevel=2,
            )


def _whole_lines(path: Path, block_bytes: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    n_bytes = 0
    for piece in _unpacked(path, block_bytes):
        parts.append(piece)
        n_bytes += len(piece)
        if n_bytes < block_bytes:
            continue
        text = b"".join(parts)
        cut = text.rfind(b"\n") + 1
        parts, n_bytes = [text[cut:]], len(text) - cut
        if cut:
            yield text[:cut]
    rest = b"".join(parts)
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def in_thread(function: Callable[[In], Out], items: Iterator[In], *, n_ahead: int = 3) -> Iterator[Out]:
    """Yield ``function(item)`` in order, computed up to ``n_ahead`` items ahead in one other thread."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Out]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def line_blocks(path: Path, *, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield blocks of whole lines (each ends in a newline) of a plain or gzipped file.

    Memory is a few blocks, whatever the size of the file; unpacking runs in its own thread.

    Raises
    ------
    MissingFileError, DamagedFileError
        The file does not exist; its gzip stream is truncated or corrupt.
    """
    blocks = _whole_lines(path, block_bytes)

    def following(_: int) -> bytes | None:
        return next(blocks, None)

    def forever() -> Iterator[int]:
        while True:
            yield 0

    ahead = in_thread(following, forever())
    try:
        for block in ahead:
            if block is None:
                return
            yield block
    finally:
        ahead.close()  # type: ignore[attr-defined]
        blocks.close()  # type: ignore[attr-defined]
