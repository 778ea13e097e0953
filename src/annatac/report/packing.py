"""Arrays and texts as they are embedded in a page: compact, and unable to end the script they stand in."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from annatac.report.cells import Cells

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def safe_json(content: object) -> str:
    """Return JSON that may stand in a ``<script>``: no ``<``, ``>`` or ``&`` is left in it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in _UNSAFE.items():
        text = text.replace(character, escaped)
    return text


def packed(values: npt.NDArray[Any], dtype: type[np.unsignedinteger[Any]]) -> dict[str, str]:
    """Return an array of whole numbers as little-endian base64 with its kind: ``{"u16": "..."}``."""
    array = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return {f"u{array.itemsize * 8}": base64.b64encode(array.tobytes()).decode("ascii")}


def packed_shares(values: npt.NDArray[Any]) -> dict[str, str]:
    """Return numbers in [0, 1] as 255ths."""
    return packed(np.round(np.clip(np.nan_to_num(values), 0, 1) * 255), np.uint8)


def packed_codes(values: npt.NDArray[np.int64]) -> dict[str, str]:
    """Return numbers of names, in one byte where they fit."""
    return packed(values, np.uint8 if values.max(initial=0) < 256 else np.uint16)


def packed_map(xy: npt.NDArray[np.float32], cells: Cells, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the cells to draw: about 10 bytes a cell and its name.

    Positions are 65,535ths of the longer side (both axes have one scale), origin at the lower left.
    """
    low = xy.min(axis=0)
    span = float((xy.max(axis=0) - low).max()) or 1.0
    places = np.round((xy[rows] - low) / span * 65535)
    content: dict[str, Any] = {
        "n": len(rows),
        "x": packed(places[:, 0], np.uint16),
        "y": packed(places[:, 1], np.uint16),
        "label": packed_codes(cells.label.code[rows]),
        "confidence": packed_shares(cells.confidence[rows]),
        "names": [str(cells.barcodes[row]) for row in rows],
    }
    if cells.novelty is not None:
        content["novelty"] = packed_shares(cells.novelty[rows])
    if cells.sample is not None:
        content["sample"] = packed_codes(cells.sample.code[rows])
    if cells.truth is not None:
        content["truth"] = packed_codes(cells.truth.code[rows])
    return content
