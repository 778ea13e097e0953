"""Fragment lines -> arrays, with numpy on the bytes themselves.

A line is ``chrom<TAB>start<TAB>end<TAB>barcode[<TAB>reads]``. Numbers are read eight digits at a time
from the 64-bit word that ends where the number ends; chromosomes and barcodes are told apart by a
63-bit hash of their bytes (two of a million barcodes share one with a chance of 5e-8), so that no
Python string is made for a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annatac.errors import InputError

U64 = np.uint64
_FRONT = 8  # bytes of padding, so that the word before the first number exists
_LOW = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=U64)  # mask of the first n bytes
_MIX = tuple(U64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
LAYOUT = "chrom, start, end, barcode and, optionally, the number of reads, separated by tabs"


@dataclass(frozen=True, kw_only=True)
class FragmentBlock:
    """The fragments of a block of lines, in the order of the file.

    ``start``, ``end`` are int64 (0-based, half-open); ``barcode_hash`` is never 0; chromosome ``chroms[j]``
    holds for fragments ``chrom_start[j]`` up to ``chrom_start[j + 1]``.
    """

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    barcode_hash: npt.NDArray[np.uint64]
    barcode_begin: npt.NDArray[np.int64]
    barcode_end: npt.NDArray[np.int64]
    text: bytes
    chroms: list[str]
    chrom_start: npt.NDArray[np.int64]
    line_number: npt.NDArray[np.int64] | int
    n_lines: int

    def barcode(self, i: int) -> str:
        """Return the barcode of fragment ``i``."""
        return self.text[self.barcode_begin[i] : self.barcode_end[i]].decode("utf-8", "replace")

    def line_of(self, i: int) -> int:
        """Return the number in the file (first line = 1) of fragment ``i``."""
        if isinstance(self.line_number, int):
            return self.line_number + i
        return int(self.line_number[i])


class _Words:
    """Any eight bytes of a text as a little-endian 64-bit word (anything behind the end of the text)."""

    def __init__(self, text: bytes):
        self.bytes = np.frombuffer(text, np.uint8)
        self.aligned = self.bytes.view("<u8")

    def at(self, position: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        index = position >> 3
        shift = ((position & 7) << 3).astype(U64)
        low = self.aligned.take(index, mode="clip") >> shift
        # a shift by 64 gives 0 in numpy; split in two so as not to lean on that
        high = (self.aligned.take(index + 1, mode="clip") << (U64(63) - shift)) << U64(1)
        return low | high


def _hash(
    words: _Words, begin: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each field (splitmix64 over its words)."""
    longest = int(length.max(initial=0))
    same = int(length.min(initial=0)) == longest
    hashed = length.astype(U64)
    before = hashed
    for k in range(0, max(longest, 1), 8):
        word = words.at(begin + k)
        if not same:
            word &= _LOW[np.clip(length - k, 0, 8)]
        elif longest - k < 8:
            word &= _LOW[longest - k]
        hashed ^= word
        hashed += _MIX[0]
        hashed ^= hashed >> U64(30)
        hashed *= _MIX[1]
        hashed ^= hashed >> U64(27)
        hashed *= _MIX[2]
        hashed ^= hashed >> U64(31)
        if not same:  # a field that has ended must not depend on the longest one of its block
            ended = length <= k
            if k and ended.any():
                hashed[ended] = before[ended]
            before = hashed.copy()
    return hashed


def _padded(text: bytes) -> bytes:
    return b"\0" * _FRONT + text + b"\0" * (24 - len(text) % 8)


def _numbers(
    words: _Words, begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the decimal numbers in ``[begin, end)`` and which of them are none."""
    length = end - begin
    bad = (length < 1) | (length > 10)
    n_word = np.clip(length, 0, 8)
    digits = words.at(end - 8) ^ U64(0x3030303030303030)
    digits &= ~_LOW[8 - n_word]
    bad |= ((digits | (digits + U64(0x0606060606060606))) & U64(0xF0F0F0F0F0F0F0F0)) != 0
    digits *= U64(2561)
    digits >>= U64(8)
    digits &= U64(0x00FF00FF00FF00FF)
    digits *= U64(6553601)
    digits >>= U64(16)
    digits &= U64(0x0000FFFF0000FFFF)
    digits *= U64(42949672960001)
    digits >>= U64(32)
    value = digits.astype(np.int64)
    for n_more, unit in ((9, 100_000_000), (10, 1_000_000_000)):
        if int(length.max(initial=0)) >= n_more:
            digit = words.bytes.take(np.maximum(end - n_more, 0)).astype(np.int64) - 48
            digit[length < n_more] = 0
            bad |= (digit < 0) | (digit > 9)
            value += digit * unit
    return value, bad


def _shown(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", "replace"))


def _clean(text: bytes, path: Path, first_line: int) -> tuple[bytes, npt.NDArray[np.int64], int]:
    """Return the lines that are neither comments nor empty, their numbers and their column count."""
    kept, numbers, n_columns = [], [], 0
    for i, line in enumerate(text.split(b"\n")[:-1]):
        if line.startswith(b"#") or not line.strip():
            continue
        found = line.count(b"\t") + 1
        if found not in (4, 5) or (n_columns and found != n_columns):
            expected = f"{n_columns} as in the lines before it" if n_columns else "4 or 5"
            raise InputError(
                f"{path}, line {first_line + i}: {found} column{'s' * (found != 1)} found, {expected} "
                "expected "
                f"({LAYOUT}). The line starts with {_shown(line)}. Check that the file is a fragments file."
            )
        n_columns = found
        kept.append(line)
        numbers.append(first_line + i)
    return b"".join(line + b"\n" for line in kept), np.array(numbers, dtype=np.int64), n_columns


def parse_block(text: bytes, path: Path, first_line: int) -> FragmentBlock | None:
    """Return the fragments of ``text`` (whole lines), or None where it has comments only.

    Raises
    ------
    InputError
        A line has not 4 or 5 columns, a coordinate is not a number, the barcode is empty, or the end is
        not behind the start; the message names the file and the line.
    """
    n_lines = text.count(b"\n")
    if b"\r" in text:
        text = text.replace(b"\r", b"")
    line_number: npt.NDArray[np.int64] | int = first_line
    padded = _padded(text)
    words = _Words(padded)
    separators = np.flatnonzero((words.bytes - np.uint8(9)) < 2)
    n_columns, uneven = divmod(len(separators), n_lines)
    newlines = separators[n_columns - 1 :: n_columns] if n_columns else separators
    regular = (
        n_columns in (4, 5)
        and not uneven
        and bool((words.bytes.take(newlines) == 10).all())
        and text[0] != 35
        and not (words.bytes.take(newlines[:-1] + 1) == 35).any()
    )
    if not regular:
        text, line_number, n_columns = _clean(text, path, first_line)
        if not text:
            return None
        padded = _padded(text)
        words = _Words(padded)
        separators = np.flatnonzero((words.bytes - np.uint8(9)) < 2)
        newlines = separators[n_columns - 1 :: n_columns]
    line_begin = np.empty_like(newlines)
    line_begin[0] = _FRONT
    line_begin[1:] = newlines[:-1] + 1
    tab1, tab2, tab3, tab4 = (separators[i::n_columns] for i in range(4))

    start, bad = _numbers(words, tab1 + 1, tab2)
    end, bad_end = _numbers(words, tab2 + 1, tab3)
    bad |= bad_end
    bad |= (tab4 <= tab3 + 1) | (tab1 == line_begin)
    wrong = bad | (end <= start)
    if wrong.any():
        i = int(np.argmax(wrong))
        number = line_number + i if isinstance(line_number, int) else int(line_number[i])
        line = padded[line_begin[i] : newlines[i]]
        if bad[i]:
            found = f"not a fragment: {_shown(line)}"
        else:
            found = f"the end {end[i]} is not behind the start {start[i]}"
        raise InputError(
            f"{path}, line {number}: {found}. Expected {LAYOUT}, with 0 <= start < end; "
            "correct or remove the line."
        )
    chrom = _hash(words, line_begin, tab1 - line_begin)
    chrom_start = np.concatenate([[0], np.flatnonzero(chrom[1:] != chrom[:-1]) + 1])
    return FragmentBlock(
        start=start,
        end=end,
        barcode_hash=_hash(words, tab3 + 1, tab4 - tab3 - 1) | U64(1),
        barcode_begin=tab3 + 1,
        barcode_end=tab4,
        text=padded,
        chroms=[padded[line_begin[i] : tab1[i]].decode("utf-8", "replace") for i in chrom_start],
        chrom_start=np.append(chrom_start, len(start)),
        line_number=line_number,
        n_lines=n_lines,
    )
