"""The run log: one JSON object a line, for people, plots and programs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FILE = "run.jsonl"


class RunLog:
    """Appends events to ``run.jsonl``: ``start``, ``epoch``, ``resume``, ``interrupt``, ``end``.

    ``start`` has the figures on held-out cells before the first step, ``epoch`` those after it.
    Of several processes one is ``enabled``.
    """

    def __init__(self, folder: Path, *, enabled: bool = True) -> None:
        self.path, self.enabled = folder / FILE, enabled

    def write(self, event: str, **values: Any) -> None:
        """Append one event with its values and the time (seconds since 1970)."""
        if not self.enabled:
            return
        line = json.dumps({"event": event, "time": round(time.time(), 3), **values})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def clear(self) -> None:
        """Begin anew."""
        if self.enabled:
            self.path.unlink(missing_ok=True)

    def keep_until(self, epoch: int) -> None:
        """Drop the epochs from ``epoch`` on: they are about to be run again."""
        if not self.enabled:
            return
        kept = [e for e in read_run_log(self.path) if e["event"] != "epoch" or e["epoch"] < epoch]
        self.path.write_text("".join(json.dumps(e) + "\n" for e in kept), encoding="utf-8")


def read_run_log(path: str | Path) -> list[dict[str, Any]]:
    """Read ``run.jsonl``; a line cut off by a crash is left out."""
    events = []
    if Path(path).is_file():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return events
