"""Tools on annotated cells."""

from __future__ import annotations

from annatac.tl.embed import embed

__all__ = ["embed"]
