"""Messages name a parameter as Python does; here they get the name that was typed: ``min_cells`` is ``--min-cells``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_UNITS = ("_bp", "_mb", "_s")  # the command line leaves units to its help
#: What is never a parameter: a call, code, text in quotes. Then a name, with its value where there is one.
_WORDS = re.compile(
    r"(?P<kept>annatac\.[\w.]+\([^)]*\)|`[^`]*`|(?<![\w=])'[^'\n]*'|\"[^\"\n]*\")"
    r"|(?<![\w/.-])(?P<name>[a-z]+(?:_[a-z0-9]+)*)\b(?![/(\[]|\.\w)(?P<equals>=(?P<value>'[^']*'|[^\s,;)]*[^\s,;:.)])?)?"
)


def as_typed(message: str, arguments: Sequence[str]) -> str:
    """Return a message with the parameters of the command named as its options.

    A word is taken for a parameter if it holds ``_`` or stands before ``=``, and the command has an option of that
    name (a unit at its end aside): 'Lower min_cells' becomes 'Lower --min-cells', ``islands='tss'`` ``--islands tss``.
    """
    options = _options_of(arguments)

    def spelt(match: re.Match[str]) -> str:
        name, equals, value = match["name"], match["equals"], (match["value"] or "").strip("'")
        if name is None or ("_" not in name and not equals):
            return match[0]
        stem = next((name.removesuffix(unit) for unit in _UNITS if name.endswith(unit)), name)
        option = options.get(name) or options.get(stem)
        if option is None:
            return match[0]
        if getattr(option, "is_flag", False) and value in ("True", "False"):
            names = option.opts if value == "True" else option.secondary_opts
            return str(names[0]) if names else match[0]
        long = max(option.opts, key=len)
        return f"{long} {value}" if value else str(long)

    return _WORDS.sub(spelt, message)


def _options_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of the command that the arguments call, by the name of the parameter."""
    import typer

    from annatac.cli.app import app

    command: Any = typer.main.get_command(app)
    for word in arguments:
        command = getattr(command, "commands", {}).get(word, command)
    return {option.name: option for option in command.params if option.param_type_name == "option"}
