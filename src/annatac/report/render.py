"""Values -> one HTML page with its style, scripts and data inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from annatac.errors import MissingDependencyError
from annatac.pl.palette import COLORS, NOVEL_COLOR
from annatac.report.packing import safe_json

STYLES = ("page.css", "parts.css")
SCRIPTS = (
    "data.js",
    "theme.js",
    "export.js",
    "map_points.js",
    "map_pixels.js",
    "map.js",
    "table.js",
    "types.js",
)
DARK_PANEL = (0x1B, 0x1F, 0x26)


def page(content: dict[str, Any]) -> str:
    """Return the page.

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    """
    check_jinja2()
    from markupsafe import Markup

    values = {
        **content,
        "pictures": {name: Markup(picture) for name, picture in content["pictures"].items()},
        "confidence_pictures": [Markup(one.confidence_svg) for one in content["pages"]],
        "json": Markup(safe_json(content["data"])),
    }
    return rendered("page.html", values, scripts=SCRIPTS)


def rendered(template: str, values: dict[str, Any], *, scripts: Sequence[str]) -> str:
    """Return a template of this package filled with ``values``, the style and the scripts inside.

    Raises
    ------
    MissingDependencyError
        jinja2 is not installed.
    """
    check_jinja2()
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("annatac.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=_count, percent=_percent, decimal=_decimal, small=_small)
    script = "\n".join(_asset(name) for name in scripts)
    script = f'"use strict";\n(function () {{\n{script}\n}})();\n'
    return environment.get_template(template).render(
        **values,
        style=Markup(color_variables() + "".join(_asset(name) for name in STYLES)),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def check_jinja2() -> None:
    """Refuse to go on without jinja2.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "A report needs jinja2, which is not installed. Install it with: pip install 'annatac[report]'"
        ) from error


def color_variables() -> str:
    """Return the types' colours as CSS variables, lighter ones for dark pages where they would drown."""
    light = "".join(f"--t{i}:{color};" for i, color in enumerate(COLORS)) + f"--novel:{NOVEL_COLOR};"
    dark = "".join(f"--t{i}:{on_dark(color)};" for i, color in enumerate(COLORS)) + "--novel:#b9bec7;"
    return (
        f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
        f":root[data-theme=dark]{{{dark}}}\n"
    )


def on_dark(color: str) -> str:
    """Return the colour mixed with as little white as gives it a contrast of 3 to the dark panel."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    for white in np.arange(0, 1, 0.05):
        mixed = rgb + (255 - rgb) * white
        if _contrast(mixed, np.array(DARK_PANEL, dtype=float)) >= 3:
            break
    return "#{:02x}{:02x}{:02x}".format(*mixed.round().astype(int))


def _contrast(a: np.ndarray, b: np.ndarray) -> float:
    """Return the contrast of two colours (WCAG 2.1)."""
    lights = []
    for rgb in (a, b):
        share = rgb / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def _asset(name: str) -> str:
    return (resources.files("annatac.report") / "assets" / name).read_text(encoding="utf-8")


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and not np.isfinite(value))


def _count(value: Any) -> str:
    return "–" if _missing(value) else f"{value:,.0f}"


def _percent(value: Any) -> str:
    if _missing(value):
        return "–"
    return "<0.1%" if 0 < value < 0.001 else f"{value * 100:.1f}%"


def _decimal(value: Any, digits: int = 2) -> str:
    return "–" if _missing(value) else f"{value:.{digits}f}"


def _small(value: Any) -> str:
    """Return a p-value or FDR."""
    if _missing(value):
        return "–"
    if value >= 0.001:
        return f"{value:.3f}"
    return "<1e-300" if value == 0 else f"{value:.0e}".replace("e-0", "e-")
