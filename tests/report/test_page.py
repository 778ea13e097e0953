"""The page as text: whole, closed to the network, small, and unable to run what names say."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from importlib import resources

import pytest

from annatac.errors import MissingDependencyError, OutputError
from annatac.report import render, report


class Reader(HTMLParser):
    """Every tag with its attributes, and the text of the scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.ids, self.inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag):
        self.inside = None


@pytest.fixture(scope="module")
def page(written):
    return Reader(written.read_text(encoding="utf-8"))


def test_hostile_names_stay_texts(page, written, fakes):
    assert "img" not in {tag for tag, _ in page.tags}
    assert "i" not in {tag for tag, attributes in page.tags if not attributes}  # of 'unknown <i>type</i>'
    handlers = [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not handlers
    assert len(page.scripts) == 2
    data = json.loads(page.scripts[0])
    assert data["types"] == [*fakes.TYPES, "novel"]
    assert data["map"]["names"][0] == f"{fakes.HOSTILE}-0"
    assert fakes.HOSTILE not in written.read_text(encoding="utf-8")


def test_nothing_is_loaded_from_anywhere(page, written):
    for tag, attributes in page.tags:
        assert "src" not in attributes
        assert tag != "link"
        if tag == "a":
            assert attributes["href"].startswith("#")
    text = written.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|importScripts", text)
    assert set(re.findall(r"https?://[\w./-]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "https://doi.org/10.1186/s12915-025-02244-5",
    }


def test_links_lead_somewhere_and_ids_are_unique(page):
    assert len(page.ids) == len(set(page.ids))
    targets = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert targets <= set(page.ids)


def test_every_part_is_there(page):
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == [
        *("overview", "map", "composition", "quality", "confidence", "markers", "truth", "types", "methods")
    ]
    assert sum(tag == "article" for tag, _ in page.tags) == 6
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 7 + 6
    assert all(picture.get("aria-label") for picture in pictures)


def test_colour_variables_of_pictures_are_defined_and_exported():
    assets = resources.files("annatac.report") / "assets"
    style = render.color_variables() + "".join((assets / name).read_text() for name in render.STYLES)
    exported = (assets / "export.js").read_text()
    package = resources.files("annatac.report")
    used = set()
    for folder in (package, package / "charts"):
        for file in folder.iterdir():
            if file.name.endswith(".py"):
                used |= set(re.findall(r"var\(--(\w+)\)", file.read_text()))
    assert {"muted", "line", "heat", "novel"} <= used
    for name in used - {"t0", "t5"}:
        assert f"--{name}:" in style
        assert f'"{name}"' in exported


def test_fifty_thousand_cells_are_under_15_mb(fakes, tmp_path):
    cells = fakes.fake_cells(50_000, types=[f"type {i}" for i in range(25)], n_peaks=50, samples=8)
    path = report(cells, tmp_path / "r.html", truth_key="truth", compute_markers=False)
    assert path.stat().st_size < 15e6 / 4  # markers and longer names have room
    few = report(cells, tmp_path / "few.html", compute_markers=False, max_cells_drawn=1000)
    assert few.stat().st_size < path.stat().st_size / 5
    assert "Drawn are 1,000 of the 50,000 cells" in few.read_text()


def test_the_page_appears_whole_or_not_at_all(fake, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("older")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"annatac\[report\]"):
        report(fake, out, compute_markers=False)
    assert out.read_text() == "older"
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        report(fake, blocked / "report.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "report.html"]
