"""Environments for published packages, made on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from annatac.benchmark import environments
from annatac.benchmark.method import method, methods
from annatac.errors import ConfigError, InputError


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """One environment: where it is, or why it could not be made."""

    name: str
    folder: Path
    error: str = ""


def set_up_rivals(
    names: Sequence[str] | None = None, *, on_step: Callable[[str], None] | None = None
) -> list[SetUp]:
    """Make the environments of live methods, those that are not there yet; one that fails does not stop the others.

    Parameters
    ----------
    names
        Methods; all live ones otherwise.
    on_step
        Told what is being done.

    Raises
    ------
    ConfigError
        An unknown method, or one that needs no environment.
    """
    for name in names or ():
        if not method(name).environment:
            live = [one for one, spec in methods().items() if spec.environment]
            raise ConfigError(f"'{name}' needs no environment; these do: {', '.join(live)}.")
    chosen = names or [name for name, spec in methods().items() if spec.environment]
    found = []
    for name in dict.fromkeys(method(one).environment for one in chosen):
        try:
            folder, error = environments.set_up(name, on_step=on_step), ""
        except InputError as failed:
            folder, error = environments.folder() / name, str(failed)
        found.append(SetUp(name=name, folder=folder, error=error))
    return found
