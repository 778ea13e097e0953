"""What a report counts, against plain loops and hand calculations."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from annatac import keys, tl
from annatac.errors import (
    AnnatacWarning,
    ConfigError,
    InputError,
    LabelError,
    MissingDependencyError,
    MissingFileError,
)
from annatac.report import methods, report
from annatac.report.advice import remarks
from annatac.report.cells import MISSING, cells_of
from annatac.report.layout import layout_of
from annatac.report.markers import computed_markers, marker_table
from annatac.report.packing import packed, packed_map, safe_json
from annatac.report.render import on_dark
from annatac.report.svg import ticks
from annatac.report.tables import by_group, cross_table, mean_probabilities, quantiles
from annatac.report.type_pages import label_colors, type_pages


def unpacked(content):
    (kind, text), *_ = content.items()
    return np.frombuffer(base64.b64decode(text), dtype=f"<u{int(kind[1:]) // 8}")


def test_types_have_the_models_order_and_the_novel_class_is_last(fake, fakes):
    cells = cells_of(fake, truth_key="truth")
    assert cells.label.names == [*fakes.TYPES, keys.NOVEL_LABEL]
    assert [cells.label.names[code] for code in cells.label.code] == list(fake.obs[keys.LABEL])
    assert cells.truth.names == [*fakes.TYPES, "unknown <i>type</i>"]
    assert cells.sample.key == "sample"
    assert cells.is_novel.tolist() == list(fake.obs[keys.IS_NOVEL])


def test_cells_without_a_sample_are_listed_apart(fake):
    fake.obs["site"] = pd.Series(["a", None, "b"] * 200, index=fake.obs_names)
    site = cells_of(fake, sample_key="site").sample
    assert site.names == ["a", "b", MISSING]
    assert site.n_cells.tolist() == [200, 200, 200]


def test_tables_by_type_and_sample(fake):
    cells = cells_of(fake)
    for grouping, column in ((cells.label, keys.LABEL), (cells.sample, "sample")):
        for row in by_group(cells, grouping).itertuples():
            own = fake.obs[fake.obs[column] == row.name]
            assert row.n_cells == len(own)
            assert row.share == pytest.approx(len(own) / 600)
            assert row.mean_confidence == pytest.approx(own[keys.CONFIDENCE].mean(), abs=1e-6)
            assert row.share_low_quality == pytest.approx((own[keys.REASON] == "low_quality").mean())
            assert row.share_novel == pytest.approx(own[keys.IS_NOVEL].mean())
            assert row.median_open == own[keys.N_OPEN].median()
    expected = pd.crosstab(fake.obs["sample"], fake.obs[keys.LABEL])
    table = cross_table(cells.sample, cells.label)
    for i, sample in enumerate(cells.sample.names):
        for j, label in enumerate(cells.label.names):
            assert table[i, j] == expected.loc[sample, label]
    own = fake.obs.loc[fake.obs[keys.LABEL] == "GMP", keys.N_OPEN]
    found = quantiles(cells.n_open, cells.label)[cells.label.names.index("GMP")]
    np.testing.assert_allclose(found, np.quantile(own, [0.05, 0.25, 0.5, 0.75, 0.95]))


def test_a_types_second_choices_are_mean_probabilities(fake):
    cells = cells_of(fake)
    own = (fake.obs[keys.LABEL] == "GMP").to_numpy()
    expected = fake.obsm[keys.PROBABILITIES][own].mean(0)
    np.testing.assert_allclose(mean_probabilities(cells)[cells.label.names.index("GMP")], expected, atol=1e-6)
    pages = {page.name: page for page in type_pages(cells, label_colors(cells.label.names), None, {})}
    names = [name for name, _ in pages["GMP"].second]
    order = [cells.classes[i] for i in np.argsort(-expected) if cells.classes[i] != "GMP"]
    assert names == order[: len(names)]
    assert sum(n for _, n, _ in pages["GMP"].samples) == own.sum()


def test_arrays_come_back_from_their_packing(fake):
    cells, xy = cells_of(fake, truth_key="truth"), layout_of(fake).xy
    rows = np.arange(0, 600, 7)
    content = packed_map(xy, cells, rows)
    span = np.ptp(xy, axis=0).max()
    np.testing.assert_allclose(
        unpacked(content["x"]) / 65535 * span, xy[rows, 0] - xy[:, 0].min(), atol=span / 65000
    )
    np.testing.assert_array_equal(unpacked(content["label"]), cells.label.code[rows])
    np.testing.assert_allclose(unpacked(content["confidence"]) / 255, cells.confidence[rows], atol=0.002)
    assert content["names"] == list(fake.obs_names[rows])
    assert unpacked(packed(np.array([1, 513]), np.uint16)).tolist() == [1, 513]


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "&lt;", "\u2028", "'\"\\"])
def test_json_cannot_end_its_script(text):
    written = safe_json([text])
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == [text]


def test_markers_given_computed_and_read_agree(fake, tmp_path):
    markers = tl.markers(fake)
    given = marker_table(markers, n_top=5)
    computed = computed_markers(fake, genes=None, n_top=5)
    markers.write_csv(tmp_path / "markers.csv")
    read = marker_table(tmp_path / "markers.csv", n_top=5)
    pd.testing.assert_frame_equal(given.rows, computed.rows)
    assert given.rows["peak"].tolist() == read.rows["peak"].tolist()
    assert given.rows["cell_type"].tolist() == read.rows["cell_type"].tolist()
    assert given.rows["cell_type"].value_counts().max() == 5
    assert given.n_all == markers.table()["cell_type"].value_counts().to_dict()
    own = given.rows[given.rows["cell_type"] == "CMP/LMPP"]["peak"]
    assert {list(fake.var_names).index(peak) % 5 for peak in own} == {1}  # as planted


def test_markers_that_cannot_be_computed_are_left_out_with_the_reason(fake, tmp_path):
    fake.X = fake.X.astype(np.float32) * 0.37
    with pytest.warns(AnnatacWarning, match="no marker table"):
        path = report(fake, tmp_path / "r.html")
    assert "No marker table: " in path.read_text()


def test_advice_names_what_is_out_of_the_ordinary(fake):
    cells = cells_of(fake)
    few = [remark for remark in remarks(cells, None, {}) if remark.level == "look"]
    assert not few
    details = {"overlap": {"share_of_query_counts_known": 0.07}, "calibration": "none"}
    words = " ".join(remark.text for remark in remarks(cells, None, details))
    assert "Only 7% of the cells' counts" in words
    assert "not calibrated" in words
    fake.obs[keys.LABEL] = keys.NOVEL_LABEL
    fake.obs[keys.REASON] = "low_quality"
    cells = cells_of(fake)
    found = [remark.text for remark in remarks(cells, None, {}) if remark.level == "look"]
    assert any("100% of the cells fit no known type" in text for text in found)
    assert any("100% of the cells have too few open islands" in text for text in found)


def test_an_odd_sample_is_named(fake):
    fake.obs.loc[fake.obs["sample"] == "donor 1", keys.REASON] = "low_quality"
    cells = cells_of(fake)
    texts = [remark.text for remark in remarks(cells, by_group(cells, cells.sample), {})]
    assert any(text.startswith("Sample donor 1 has 100% low-quality cells") for text in texts)


def test_the_methods_state_what_the_file_records(fake):
    cells = cells_of(fake, truth_key="truth")
    text = methods.methods(
        cells,
        fake.uns[keys.UNS],
        n_features=60,
        genome="hg38",
        map_origin="UMAP of the model's embedding, 15 neighbours, seed 0",
        markers={"matched_on": ["log10_depth"], "n_background": 10},
        truth_accuracy=0.5,
    )
    for words in ("600 cells", "60 accessible regions (hg38)", "annatac 0.0.7", "Cui et al., 2025", "model abc123",
                  "below 0.5", "60 cells, 10.0%", "fewer than 20 open islands", "87.5%", "not calibrated",
                  "matched on sequencing depth", "laid out by UMAP", "50.0%"):  # fmt: skip
        assert words in text, words


def test_the_citation_is_that_of_the_citation_file():
    text = (Path(__file__).parents[2] / "CITATION.cff").read_text()
    for part in re.findall(r"family-names: (\w+)", text):
        assert part in methods.CITATION
    assert re.search(r'title: "(annATAC.*)"', text)[1] in methods.CITATION
    assert re.search(r"doi: (\S+)", text)[1] == methods.DOI
    for key in ("volume", "start", "year"):
        assert re.search(rf"{key}: (\d+)", text)[1] in methods.CITATION


def test_axes_have_round_numbers():
    assert ticks(0, 100, 4) == [0, 50, 100]
    assert ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert str(ticks(0, 7, 4)[0]) == "0.0"


def test_dark_colours_are_lightened_and_light_ones_are_not():
    assert on_dark("#EBD800") == "#ebd800"
    assert on_dark("#143BB1") != "#143bb1"


def test_what_is_missing_is_named(fake, tmp_path):
    out = tmp_path / "report.html"
    with pytest.raises(LabelError, match=r"no column 'trut'\. Did you mean 'truth'"):
        report(fake, out, truth_key="trut")
    with pytest.raises(LabelError, match=r"no column 'donors'"):
        report(fake, out, sample_key="donors")
    with pytest.raises(MissingFileError, match="no marker table"):
        report(fake, out, markers=tmp_path / "none.csv")
    with pytest.raises(InputError, match="no column cell_type; its columns are: peak"):
        report(fake, out, markers=pd.DataFrame({"peak": ["chr1:0-500"]}))
    with pytest.raises(ConfigError, match="n_markers is 0"):
        report(fake, out, n_markers=0)
    with pytest.raises(MissingFileError, match="does not exist"):
        report(tmp_path / "none.h5ad", out)
    del fake.obs[keys.LABEL]
    with pytest.raises(InputError, match=r"not annotated: obs\['annatac_label'\] missing"):
        report(fake, out)
    assert not list(tmp_path.iterdir())


def test_little_is_enough(fake, tmp_path):
    """Neither map nor samples, probabilities, novelty, quality, markers: the rest is still there."""
    for name in ("sample", keys.NOVELTY, keys.N_OPEN, keys.REASON):
        del fake.obs[name]
    del fake.obsm["X_umap"], fake.obsm[keys.PROBABILITIES]
    fake.uns[keys.UNS] = {"classes": fake.uns[keys.UNS]["classes"]}
    path = report(fake[:1], tmp_path / "r.html", compute_markers=False)
    text = path.read_text()
    assert "There is no embedding to lay out" in text
    assert "Markers were not asked for." in text


def test_a_map_that_is_missing_is_computed_from_the_embedding(fake, monkeypatch):
    del fake.obsm["X_umap"]
    fake.obsm[keys.EMBEDDING] = np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32)

    def embed(cells, *, n_neighbors, seed):
        assert (n_neighbors, seed) == (15, 3)
        cells.obsm["X_umap"] = cells.obsm[keys.EMBEDDING][:, :2]

    monkeypatch.setattr("annatac.tl.embedding.embed", embed)
    layout = layout_of(fake, seed=3)
    np.testing.assert_array_equal(layout.xy, fake.obsm[keys.EMBEDDING][:, :2])
    assert "15 neighbours, seed 3" in layout.origin
    assert "X_umap" not in fake.obsm


def test_a_map_that_cannot_be_computed_is_left_out_with_the_reason(fake, tmp_path, monkeypatch):
    fake.obsm[keys.EMBEDDING] = fake.obsm.pop("X_umap")

    def embed(cells, **options):
        raise MissingDependencyError("A UMAP needs scanpy")

    monkeypatch.setattr("annatac.tl.embedding.embed", embed)
    with pytest.warns(AnnatacWarning, match="The report has no UMAP: A UMAP needs scanpy"):
        path = report(fake, tmp_path / "r.html", compute_markers=False)
    assert 'id="map-canvas"' not in path.read_text()


def test_what_the_file_records_is_worded():
    details = {
        "classes": np.array(["B", "T"]),
        "model_id": "abc",
        "overlap": {"share_of_query_counts_known": np.float64(0.5), "n_shared": np.int64(1200)},
        "later": {"deeper": {"new_setting": True}},
    }
    assert methods.recorded(details) == [
        ("model", "abc"),
        ("counts in the model's islands", "50.0%"),
        ("islands in both", "1,200"),
        ("new setting", "yes"),
    ]
