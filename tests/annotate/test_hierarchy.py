"""Terms of the Cell Ontology for free labels, trees of a user's own, and answers that back off."""

from __future__ import annotations

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import annatac
from annatac.annotate import ontology
from annatac.annotate.hierarchy import Hierarchy, from_ontology, from_parents, hierarchy_of, read_tree
from annatac.errors import ConfigError, InputError, LabelError, MissingFileError

BLOOD = ["CD4.N1", "CD4.N2", "CD8.N", "B", "NK", "CD14.Mono.1", "K562"]


def test_the_bundled_terms_are_sound():
    terms = ontology.terms()
    assert len(terms) > 150
    assert [one for one, term in terms.items() if not term.parents] == [ontology.ROOT]
    for one, term in terms.items():
        assert re.fullmatch(r"CL:\d{7}", one)
        assert set(term.parents) <= set(terms)
        assert ontology.ROOT in ontology.ancestors(one)
        assert ontology.match(term.name) == (one if one != ontology.ROOT else None)
        for synonym in term.synonyms:
            assert ontology.match(synonym) == one, f"{synonym} belongs to two terms"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("CD4.N1", "CL:0000895"),
        ("11_CD14.Mono.1", "CL:0000860"),
        ("cMono", "CL:0000860"),
        ("HSC", "CL:0000037"),
        ("05_CMP.LMPP", "CL:0008001"),
        ("CMP/LMPP", "CL:0008001"),
        ("T/NK", "CL:0000542"),
        ("L2/3", "CL:4030059"),
        ("Pvalb", "CL:4023018"),
        ("Oli", "CL:0000128"),
        ("naïve B cells", "CL:0000788"),
        ("CD8+ T", "CL:0000625"),
        ("Astrocytes", "CL:0000127"),
        ("CD4- T", None),
        ("AML Patient 070", None),
        ("Unknown", None),
        ("cell", None),
        ("", None),
    ],
)
def test_free_labels_find_their_term(label, expected):
    assert ontology.match(label) == expected


def test_ancestors_are_sets_of_types_with_the_smallest_first():
    tree = from_ontology(BLOOD)
    found = {
        name: {BLOOD[i] for i in np.flatnonzero(row)}
        for name, row in zip(tree.names, tree.members, strict=True)
    }
    assert found["naive thymus-derived CD4-positive, alpha-beta T cell"] == {"CD4.N1", "CD4.N2"}
    assert found["lymphocyte"] == set(BLOOD[:5])
    assert found["cell"] == set(BLOOD)
    assert tree.names[-1] == "cell"
    assert tree.unmatched == ["K562"]
    sizes = tree.members.sum(1)
    assert (np.diff(sizes) >= 0).all()
    assert len({row.tobytes() for row in tree.members}) == len(tree.members)


def test_answers_back_off_as_far_as_needed_and_no_further():
    tree = from_ontology(BLOOD)
    p = np.array(
        [
            [0.96, 0.01, 0.01, 0.01, 0.01, 0.0, 0.0],  # sure
            [0.60, 0.36, 0.01, 0.01, 0.01, 0.01, 0.0],  # which naive CD4 is open
            [0.50, 0.10, 0.36, 0.01, 0.01, 0.01, 0.01],  # CD4 or CD8
            [0.30, 0.10, 0.10, 0.40, 0.06, 0.04, 0.0],  # a lymphocyte: ancestors of the best type count, B
            [0.20, 0.10, 0.10, 0.10, 0.10, 0.40, 0.0],  # monocyte or lymphocyte
            [0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.4],  # a type without a term
        ]
    )
    answers = tree.safe_labels(p, 0.95)
    assert answers[0] == "CD4.N1"
    assert answers[1] == "naive thymus-derived CD4-positive, alpha-beta T cell"
    assert answers[2] == "mature alpha-beta T cell"  # of the ancestors with these three types the lowest
    assert answers[3] == "lymphocyte"
    assert answers[4] in {"hematopoietic cell", "leukocyte", "mononuclear leukocyte"}
    assert answers[5] == "cell"
    one_by_one = [tree.safe_labels(row[None], 0.95)[0] for row in p]
    assert list(answers) == one_by_one  # a function of one cell
    assert list(tree.safe_labels(p, 1e-9)) == [BLOOD[i] for i in p.argmax(1)]


def test_a_tree_of_ones_own(tmp_path):
    file = tmp_path / "tree.csv"
    file.write_text("child,parent\na,ab\nb,ab\nab,\nc,cell\n")
    tree = hierarchy_of(["a", "b", "c"], file)
    assert tree is not None
    assert tree.names == ["ab", "cell"]
    assert list(tree.safe_labels([[0.5, 0.46, 0.04], [0.5, 0.1, 0.4]], 0.95)) == ["ab", "cell"]
    file.with_suffix(".tsv").write_text("a\tab\nb\tab\nc\tcell\n")
    assert read_tree(file.with_suffix(".tsv")) == {"a": ["ab"], "b": ["ab"], "c": ["cell"]}
    again = Hierarchy.from_dict(tree.to_dict(), tree.classes, tree.class_ids)
    assert again.names == tree.names
    assert (again.members == tree.members).all()
    assert hierarchy_of(["a"], "none") is None


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\nb,c\nc,a\n", InputError, "goes in a circle"),
        ("a,b,c\n", InputError, "line 1: found 3 columns"),
        ("", InputError, "is empty"),
        ("aa,x\nb,x\n", LabelError, "lacks 1 of the model's 2 types: a"),
        ("a,b\nb,x\n", LabelError, "has the type 'b' as a parent"),
    ],
)
def test_bad_trees_say_what_is_wrong(tmp_path, text, error, message):
    file = tmp_path / "tree.csv"
    file.write_text(text)
    with pytest.raises(error, match=message):
        hierarchy_of(["a", "b"], file)
    with pytest.raises(MissingFileError, match="No hierarchy at"):
        hierarchy_of(["a"], tmp_path / "none.csv")


def test_a_type_named_as_an_ancestor_stands_for_the_ancestor():
    tree = from_parents(["T", "CD4", "B"], {"T": ["T cell"], "CD4": ["T cell"], "B": []})
    assert list(tree.types_of()["T cell"]) == [True, True, False]
    both = from_ontology(["T cell", "CD4 T", "B"])
    assert list(both.types_of()["T cell"]) == [True, True, False]


def test_the_safe_label_is_written_and_kept(named, annotator, query, tmp_path):
    adata = named(safe_level=0.999999)
    tree = annotator.hierarchy
    expected = tree.safe_labels(adata.obsm["annatac_probabilities"], 0.999999)
    assert list(adata.obs["annatac_label_safe"]) == list(expected)
    assert adata.uns["annatac"]["parameters"]["safe_level"] == 0.999999
    adata.write_h5ad(tmp_path / "out.h5ad")
    stored = ad.read_h5ad(tmp_path / "out.h5ad").uns["annatac"]
    again = Hierarchy.from_uns(stored["hierarchy"], stored["classes"])
    assert again.names == tree.names
    assert (again.members == tree.members).all()
    assert annotator.artifact.class_ids[annotator.classes.index("L2/3")] == "CL:4030059"


def test_another_hierarchy_or_none_at_annotate(named, types, tmp_path):
    assert "annatac_label_safe" not in named(hierarchy="none").obs
    tree = tmp_path / "tree.tsv"
    tree.write_text("".join(f"{name}\tknown\n" for name in types[:2]) + f"{types[2]}\tother\n")
    adata = named(hierarchy=tree)
    assert list(adata.uns["annatac"]["hierarchy"]["names"]) == ["known", "cell"]
    pd.testing.assert_series_equal(adata.obs["annatac_label"], named().obs["annatac_label"])
    with pytest.raises(ConfigError, match="safe level is 0"):
        named(safe_level=0)


def test_models_without_a_hierarchy_have_no_safe_label(query, model_folder, tmp_path):
    whole = annatac.load(model_folder).with_hierarchy("none")
    whole.save(tmp_path / "model")
    assert annatac.load(tmp_path / "model").hierarchy is None


def test_evaluate_judges_the_safe_labels(named):
    summary = annatac.evaluate(named(), "cell_type").summary
    assert summary["safe_share_type"] + summary["safe_share_ancestor"] + summary[
        "safe_share_root"
    ] == pytest.approx(1)
    assert 0 <= summary["safe_error"] <= 1 - summary["accuracy"] + 1e-9
    assert "safe_error" not in annatac.evaluate(named(hierarchy="none"), "cell_type").summary
