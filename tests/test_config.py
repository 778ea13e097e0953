"""Recipes: strict keys, types and ranges; every shipped one loads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from annatac.config import ModelConfig, OptimConfig, Recipe, from_dict, recipe_names
from annatac.errors import AnnatacError, ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_under_its_name(name):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert recipe.description
    assert from_dict(Recipe, asdict(recipe), where="again") == recipe


def test_the_recipes_of_the_documents_are_there():
    assert {"default", "paper", "large", "debug"} <= set(recipe_names())


def test_the_paper_recipe_states_the_published_settings():
    recipe = Recipe.load("paper")
    model, pre, fine = recipe.model, recipe.pretrain, recipe.finetune
    assert (model.depth, model.width, model.n_heads, model.head_dim, model.k) == (4, 200, 4, 128, 64)
    assert (model.feed_forward, model.head_hidden, model.position_dim) == (800, (512, 128), 200)
    assert (model.closed, model.projection_sharing, model.position) == ("keep", "all", "fixed")
    assert (model.thin, model.wide, model.depth_exponent, model.dropout) == (False, False, 0, 0)
    assert recipe.islands == "tss"
    assert (pre.mask_rate, pre.replace_rate, pre.batch_size * pre.accumulate) == (0.15, 0.9, 5 * 30 * 6)
    assert (pre.learning_rate, pre.schedule, pre.step_epochs, pre.step_gamma) == (1e-4, "step", 10, 0.9)
    assert (pre.epochs, pre.gradient_clip, pre.validation_fraction) == (100, 100, 0.01)
    assert (fine.learning_rate, fine.schedule, fine.step_epochs, fine.step_gamma) == (1e-4, "step", 4, 0.3)
    assert (fine.class_weight, fine.patience, fine.validation_fraction) == ("published", 10, 0.1)
    assert (fine.monitor, fine.label_smoothing, fine.thinning) == ("accuracy", 0, 0)
    assert pre.weight_decay == fine.weight_decay == 0  # plain Adam


def test_a_file_of_ones_own(tmp_path):
    path = write(tmp_path, "model: {depth: 3, dropout: 0, head_hidden: [8]}\nfinetune: {epochs: 7}\n")
    recipe = Recipe.load(path)
    assert recipe.name == "own"
    assert (recipe.model.depth, recipe.model.head_hidden, recipe.finetune.epochs) == (3, (8,), 7)
    assert isinstance(recipe.model.dropout, float)
    assert recipe.model.width == ModelConfig().width  # what is not named is the default
    assert Recipe.load(str(path)) == recipe
    assert Recipe.load(recipe) is recipe


def test_numbers_that_yaml_reads_as_text(tmp_path):
    recipe = Recipe.load(
        write(tmp_path, "pretrain: {learning_rate: 1e-4}\nfinetune: {learning_rate: 3E-3}\n")
    )
    assert recipe.pretrain.learning_rate == 1e-4
    assert recipe.finetune.learning_rate == 3e-3


def test_an_empty_file_is_the_default(tmp_path):
    assert Recipe.load(write(tmp_path, "")) == Recipe(name="own")


BAD = {
    "unknown key": ("modle: {}", r"unknown key 'modle'\. Did you mean 'model'\?"),
    "unknown key inside": ("model: {widht: 3}", r"model: unknown key 'widht'\. Did you mean 'width'\?"),
    "unknown number": ("1: 2", "unknown key '1'"),
    "text for a number": ("model: {depth: deep}", "model: depth is 'deep'; a value of type int is expected"),
    "fraction for a number": ("model: {depth: 1.5}", "depth is 1.5; a value of type int"),
    "truth for a number": ("model: {depth: true}", "depth is True; a value of type int"),
    "truth for a rate": ("finetune: {learning_rate: true}", "learning_rate is True; a value of type float"),
    "text for a rate": ("finetune: {learning_rate: fast}", "learning_rate is 'fast'; a value of type float"),
    "nothing for a number": ("model: {depth: }", "depth is None; a value of type int"),
    "number for truth": ("model: {wide: 1}", "wide is 1; a value of type bool"),
    "number for text": ("description: 3", "description is 3; a value of type str"),
    "no list": ("model: {head_hidden: 3}", "head_hidden must be a list, found 3"),
    "text in a list": ("model: {head_hidden: [a]}", "head_hidden is 'a'; a value of type int"),
    "no section": ("model: 3", "model must hold keys and values, found 3"),
    "unknown choice": (
        "model: {closed: kepe}",
        "closed is 'kepe'; one of 'drop', 'keep'.*Did you mean 'keep'",
    ),
    "below": ("model: {width: 0}", "own.yaml: model: width is 0; at least 1 is expected"),
    "negative depth": ("model: {depth: -1}", "depth is -1; at least 0"),
    "above": ("model: {dropout: 1.0}", "dropout is 1.0; 0 to 0.95 is expected"),
    "not a number": ("model: {dropout: .nan}", "dropout is nan"),
    "no layer": ("model: {head_hidden: []}", "head_hidden must list at least one layer"),
    "no units": ("model: {head_hidden: [8, 0]}", "head_hidden must list at least one layer"),
    "unequal": ("model: {thin: false}", r"position_dim is \d+ and model.width \d+.*Make them equal"),
    "no epoch": ("finetune: {epochs: 0}", "epochs is 0"),
    "all held out": ("finetune: {validation_fraction: 0.9}", "validation_fraction is 0.9"),
    "one fold": ("finetune: {wide_folds: 1}", "wide_folds is 1; at least 2"),
    "all thinned": ("finetune: {thinning: 1}", "thinning is 1.0"),
    "mask all": ("pretrain: {mask_rate: 1}", "mask_rate is 1.0"),
    "no penalty": ("finetune: {wide_c: 0}", "wide_c is 0.0"),
    "no pseudo-count": ("finetune: {wide_smoothing: 0}", "wide_smoothing is 0.0"),
    "no gradient": ("finetune: {gradient_clip: 0}", "gradient_clip is 0.0"),
    "negative warm-up": ("finetune: {warmup_steps: -1}", "warmup_steps is -1; at least 0"),
    "growing rate": ("pretrain: {step_gamma: 2}", "step_gamma is 2.0"),
    "negative decay": ("pretrain: {weight_decay: -1}", "weight_decay is -1.0"),
    "a list": ("- 1", "must hold keys and values, found a list"),
    "no YAML": ("model: {", "is not a YAML file"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_recipes_are_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Recipe.load(write(tmp_path, text))
    assert str(tmp_path) in str(caught.value), "the message names the file"
    assert caught.value.exit_code == AnnatacError.exit_code == 2


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match=r"No recipe 'papr'.*debug, default, large, paper.*mean 'paper'"):
        Recipe.load("papr")


def test_settings_made_in_python_are_checked_too():
    with pytest.raises(ConfigError, match="batch_size is 0"):
        OptimConfig(batch_size=0)
