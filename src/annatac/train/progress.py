"""The bar that a user watches: epoch, cells a second, time left, and the figures of each epoch."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """A bar on standard error; with ``enabled=False`` nothing is shown."""

    def __init__(self, phase: str, n_epochs: int, *, enabled: bool) -> None:
        self.n_epochs = n_epochs
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not enabled,
            transient=True,
        )
        self.task = self.bar.add_task(phase, total=n_epochs, speed="")
        self.enabled = enabled

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def batch(self, epoch: int, share: float, cells_per_s: float) -> None:
        """Show that ``share`` (0 to 1) of ``epoch`` is done."""
        self.bar.update(self.task, completed=epoch + share, speed=f"{cells_per_s:,.0f} cells/s")

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Write the epoch's figures on a line of their own."""
        if not self.enabled:
            return
        words = [f"epoch {epoch + 1}/{self.n_epochs}", f"loss {figures['train_loss']:.3f}"]
        shown = {"valid_loss": "held-out loss", "valid_accuracy": "accuracy", "valid_macro_f1": "macro-F1"}
        words += [f"{word} {figures[name]:.3f}" for name, word in shown.items() if name in figures]
        words.append(f"{figures['cells_per_s']:,.0f} cells/s")
        self.console.print("  ".join(words), highlight=False)
