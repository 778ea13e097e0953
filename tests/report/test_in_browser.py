"""The page in Chromium: no error, no request, light and dark, wide and narrow, mouse and keys."""

from __future__ import annotations

import json
import time

import pytest

SIZES = [(1280, 900), (380, 800)]


def shown(browser, code):
    """Wait up to 10 s until ``code`` is true in the page."""
    end = time.monotonic() + 10
    while not browser.run(code):
        assert time.monotonic() < end, f"never true: {code}"
        time.sleep(0.05)


def middle_of_map(browser):
    browser.run(
        "document.getElementById('map-canvas').scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    browser.settle()
    box = "(() => { const b = document.getElementById('map-canvas').getBoundingClientRect();"
    return browser.run(f"{box} return [b.x, b.y, b.width, b.height]; }})()")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES, ids=["wide", "narrow"])
def test_it_opens_without_a_complaint(browser, written, width, height, dark):
    browser.messages.clear()
    browser.requests.clear()
    browser.open(written, width=width, height=height, dark=dark)
    assert browser.messages == []
    assert set(browser.requests) == {written.as_uri()}
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), (
        "the page itself scrolls sideways"
    )
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, ground[4:-1].split(","))) < 150 if dark else ground == "rgb(245, 246, 248)"
    pixels = browser.run(
        "[...document.getElementById('map-canvas').getContext('2d').getImageData(0, 0, 1, 1).data]"
    )
    assert pixels == ([27, 31, 38, 255] if dark else [255, 255, 255, 255])


def test_a_page_without_map_markers_and_truth_runs_too(browser, fake, tmp_path):
    from annatac.report import report

    del fake.obsm["X_umap"], fake.obs["sample"]
    browser.messages.clear()
    browser.open(report(fake, tmp_path / "r.html", compute_markers=False), dark=True)
    assert browser.messages == []
    assert browser.run("document.querySelectorAll('.type:not([hidden])').length") == 1


def test_the_map_is_hovered_zoomed_and_coloured(browser, written, fakes):
    browser.open(written)
    x, y, width, height = middle_of_map(browser)
    lines = None
    for step in range(400):
        browser.mouse("mouseMoved", x + 10 + step * 37 % (width - 20), y + 10 + step * 53 % (height - 20))
        if not browser.run("document.getElementById('map-tip').hidden"):
            lines = (
                browser.run("document.getElementById('map-tip').innerText")
                .replace("\u2028", "?")
                .splitlines()
            )
            break
    assert lines is not None, "no cell was found under the mouse"
    assert lines[0] in [*(name.replace("\u2028", "?") for name in fakes.TYPES), "novel"]
    assert lines[1].startswith("confidence 0.")
    assert lines[2].startswith("sample: ")
    assert lines[3].startswith("true type: ")
    picture = "document.getElementById('map-canvas').toDataURL().length"
    seen = set()
    for key in ("label", "confidence", "novelty", "sample", "truth"):
        browser.run(
            f"(() => {{ const s = document.getElementById('map-colour'); s.value = '{key}';"
            "s.dispatchEvent(new Event('change')); })()"
        )
        browser.settle()
        assert browser.run("document.getElementById('map-legend').childElementCount") >= 2
        seen.add(browser.run(picture))
    assert len(seen) == 5
    before = browser.run("scrollY")
    browser.mouse("mouseWheel", x + width / 2, y + height / 2, deltaX=0, deltaY=-300)
    browser.settle()
    assert browser.run(picture) not in seen
    assert browser.run("scrollY") == before
    browser.run("document.getElementById('map-canvas').focus()")
    browser.key("0")
    browser.settle()
    assert browser.run(picture) in seen
    browser.run("document.querySelector('#map-legend button').click()")
    browser.settle()
    assert browser.run("document.querySelector('#map-legend button').getAttribute('aria-pressed')") == "true"
    assert browser.messages == []


def test_markers_are_searched_and_sorted(browser, written):
    browser.open(written)
    rows = "[...document.querySelectorAll('#marker-table tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    everything = browser.run(rows)
    browser.run(
        "(() => { const s = document.getElementById('marker-search'); s.value = 'cmp chr1:5000-';"
        "s.dispatchEvent(new Event('input')); })()"
    )
    found = browser.run(rows)
    assert 0 < len(found) < len(everything)
    assert {row[0] for row in found} == {"CMP/LMPP"}
    assert {row[1] for row in found} == {"chr1:5000-5500"}
    browser.run("document.getElementById('marker-search').value = ''")
    head = "[...document.querySelectorAll('#marker-table thead button')].find(b => b.textContent.startsWith('log2'))"
    browser.run(f"{head}.click()")
    values = [float(row[2]) for row in browser.run(rows)]
    assert values == sorted(values, reverse=True)
    assert browser.run(f"{head}.parentElement.getAttribute('aria-sort')") == "descending"
    browser.run(f"{head}.click()")
    values = [float(row[2]) for row in browser.run(rows)]
    assert values == sorted(values)


def test_one_type_is_shown_at_a_time_and_keys_reach_all(browser, written, fakes):
    browser.open(written)
    visible = "[...document.querySelectorAll('.type')].filter(a => !a.hidden).map(a => a.id)"
    assert browser.run(visible) == ["type-0"]
    browser.run("document.querySelector('.types > nav a[href=\"#type-3\"]').focus()")
    browser.key("Enter")
    shown(browser, "!document.getElementById('type-3').hidden")
    assert browser.run(visible) == ["type-3"]
    assert browser.run("document.activeElement.id") == "type-3"
    assert browser.run("document.querySelector('#type-3 h3').textContent") == fakes.TYPES[3]


def test_the_switch_turns_the_colours_and_the_names_of_buttons_say_so(browser, written):
    browser.open(written, dark=True)
    grounds = []
    for _ in range(3):
        grounds.append(browser.run("getComputedStyle(document.body).backgroundColor"))
        browser.run("document.getElementById('theme').click()")
    assert grounds[0] == grounds[2] != grounds[1]  # automatic (dark), light, dark
    nameless = (
        "[...document.querySelectorAll('button')].filter(b => !b.textContent.trim() && !b.ariaLabel).length"
    )
    assert browser.run(nameless) == 0


def test_every_picture_is_saved_as_svg_and_png(browser, written):
    browser.open(written, dark=True)
    browser.run(
        "window.saved = []; URL.createObjectURL = (make => blob => { const url = make(blob);"
        "blob.text().then(text => saved.push([blob.type, blob.size, text.slice(0, 400000)])); return url; })"
        "(URL.createObjectURL); HTMLAnchorElement.prototype.click = function () {};"
    )
    n = browser.run("document.querySelectorAll('.export').length")
    assert n == browser.run("document.querySelectorAll('.figure').length") + 1  # and the map
    browser.run("document.querySelectorAll('.export button[data-format=svg]').forEach(b => b.click())")
    shown(browser, f"saved.length === {n}")
    for kind, _, text in browser.run("saved"):
        assert kind.startswith("image/svg+xml")
        assert "var(" not in text
        assert "currentColor" not in text
        browser.run(
            f"(() => {{ const d = new DOMParser().parseFromString({json.dumps(text)}, 'image/svg+xml');"
            "if (d.querySelector('parsererror')) throw new Error(d.documentElement.textContent); })()"
        )
    browser.run("saved.length = 0")
    browser.run("document.querySelectorAll('.export button[data-format=png]').forEach(b => b.click())")
    shown(browser, f"saved.filter(one => one[0] === 'image/png' && one[1] > 2000).length === {n}")
    assert browser.messages == []
