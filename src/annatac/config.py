"""Recipes: every setting of a model and its training, as strict dataclasses read from YAML.

Unknown keys, wrong types and values out of range are refused by name; nothing is filled in silently
but the defaults that stand here.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from annatac.errors import ConfigError, nearest

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the network. Defaults are those of the recipe ``default``."""

    depth: int = 1  # encoder layers
    width: int = 48  # length of a token's vector
    n_heads: int = 2
    head_dim: int = 24
    k: int = 32  # rows that Linformer projects the islands to
    feed_forward: int = 96  # width of the hidden layer of the feed-forward block
    closed: Literal["drop", "keep"] = "drop"  # are closed islands tokens? keep = as published
    max_open: int = 512  # with a wide path: open islands of a cell that the encoder sees at most; 0 = all
    projection_sharing: Literal["all", "layer", "head", "none"] = "all"
    thin: bool = True  # projection and head rows come from the position table (rank = position_dim)
    position: Literal["fixed", "trainable"] = "fixed"
    position_dim: int = 32  # length of an island's position vector (TruncatedSVD)
    depth_exponent: float = 1.0  # sums over islands are scaled by (islands / open islands) ** this
    head_hidden: tuple[int, ...] = (128, 64)  # fully connected layers between convolution and types
    dropout: float = 0.5  # in the head
    wide: bool = True  # linear and profile-likelihood path beside the encoder
    wide_place: Literal["base", "always", "never"] = "base"  # its score by island vectors: with a base model

    def __post_init__(self) -> None:
        for name in ("depth", "width", "n_heads", "head_dim", "k", "feed_forward", "position_dim"):
            _at_least(self, name, 0 if name == "depth" else 1)
        _at_least(self, "max_open", 0)
        _between(self, "dropout", 0, 0.95)
        _between(self, "depth_exponent", 0, 1)
        if not self.head_hidden or min(self.head_hidden) < 1:
            raise ConfigError("model.head_hidden must list at least one layer of at least one unit.")
        if self.wide_place == "always" and not (self.thin and self.position == "fixed"):
            raise ConfigError(
                "model.wide_place is 'always', which reads the islands' vectors as they were before training: it "
                "needs model.thin true and model.position 'fixed'."
            )
        if not self.thin and self.position_dim != self.width:
            raise ConfigError(
                f"model.position_dim is {self.position_dim} and model.width {self.width}: where model.thin "
                "is false, the position vector is added to the token's and must be as long. Make them equal."
            )


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Optimiser, schedule and batches; shared by pre-training and fine-tuning."""

    epochs: int = 10
    batch_size: int = 64  # cells
    batch_tokens: int = 131_072  # of a batch at the most, padding included: a guard of memory
    accumulate: int = 1  # batches a step of the optimiser
    learning_rate: float = 2e-3
    weight_decay: float = 0.01  # decoupled; 0 = plain Adam
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_steps: int = 30
    step_epochs: int = 10  # schedule=step: every so many epochs ...
    step_gamma: float = 0.9  # ... the rate is multiplied by this
    gradient_clip: float = 5.0
    validation_fraction: float = 0.1
    patience: int = 10  # epochs without a better validation before training ends
    precision: Literal["float32", "bf16", "auto"] = (
        "float32"  # of the encoder; auto = bf16 on a GPU that has it
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "batch_tokens", "accumulate", "step_epochs", "patience"):
            _at_least(self, name, 1)
        _at_least(self, "warmup_steps", 0)
        _between(self, "validation_fraction", 0, 0.5)
        _between(self, "learning_rate", 1e-8, 1)
        _between(self, "weight_decay", 0, 1)
        _between(self, "step_gamma", 1e-8, 1)
        _between(self, "gradient_clip", 1e-8, 1e8)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(OptimConfig):
    """Masked pre-training (paper, Methods, "Pre-training")."""

    objective: Literal["openness", "open_closed", "contrast"] = (
        "openness"  # what is asked; openness = as published
    )
    thinning: float = 0.0  # up to this share of a cell's open islands is left out, anew each epoch
    mask_rate: float = 0.15  # share of a cell's open islands that is masked
    replace_rate: float = 0.9  # share of the masked whose token becomes the mask token

    def __post_init__(self) -> None:
        super().__post_init__()
        _between(self, "mask_rate", 0.01, 0.9)
        _between(self, "thinning", 0, 0.95)
        _between(self, "replace_rate", 0, 1)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(OptimConfig):
    """Fine-tuning on labelled cells (paper, Methods, "Fine-tuning")."""

    class_weight: Literal["published", "balanced", "sqrt", "none"] = "none"
    label_smoothing: float = 0.0
    thinning: float = 0.6  # up to this share of a cell's open islands is left out, anew each epoch
    monitor: Literal["accuracy", "accuracy+macro_f1", "loss"] = "loss"  # what chooses the best epoch
    mislabelled: Literal["keep", "drop"] = "drop"  # cells of a probably wrong label, told by the wide path
    wide_folds: int = 4  # cross-fitting of the wide path
    wide_c: float = 1.0  # inverse strength of the linear path's L2 penalty
    wide_smoothing: float = 0.1  # pseudo-count of the profile path
    wide_background: float = 20.0  # without a base: cells of the mean profile that each type's holds too
    prior_strength: float = 30_000.0  # with a base: open islands that its profile of a type counts for
    prior_ridge: float = 30.0  # with a base: penalty of a type's coefficients on the island vectors

    def __post_init__(self) -> None:
        super().__post_init__()
        _between(self, "thinning", 0, 0.95)
        _between(self, "label_smoothing", 0, 0.5)
        _at_least(self, "wide_folds", 2)
        _between(self, "wide_c", 1e-8, 1e8)
        _between(self, "wide_smoothing", 1e-8, 1e8)
        _between(self, "wide_background", 0, 1e6)
        _between(self, "prior_strength", 0, 1e9)
        _between(self, "prior_ridge", 1e-8, 1e9)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A named set of settings: ``Recipe.load("default")`` or a YAML file of the user's own."""

    name: str = "default"
    description: str = ""
    islands: Literal["all", "tss"] = "all"
    model: ModelConfig = field(default_factory=ModelConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)

    @classmethod
    def load(cls, name_or_path: str | Path | Recipe) -> Recipe:
        """Read a shipped recipe by name or a YAML file by path.

        Raises
        ------
        ConfigError
            No such recipe, not YAML, an unknown key (the nearest one is named) or a bad value.
        """
        if isinstance(name_or_path, Recipe):
            return name_or_path
        path, content = read_yaml(name_or_path, RECIPES, "recipe")
        return from_dict(cls, {"name": path.stem, **content}, where=str(path))


def read_yaml(name_or_path: str | Path, folder: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    """Return path and content of a YAML file that ships in ``folder``, by name, or of a user's own, by path.

    Raises
    ------
    ConfigError
        No such file (the nearest shipped one is named), not YAML, or no mapping.
    """
    import yaml

    path = folder / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        known = yaml_names(folder)
        raise ConfigError(
            f"No {kind} '{name_or_path}': shipped ones are {', '.join(known)}; a path to a YAML file of your own "
            f"also works.{nearest(str(name_or_path), known)}"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, found a {type(content).__name__}.")
    return path, content


def yaml_names(folder: Path) -> list[str]:
    """Return the names of the YAML files that ship in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def check_seed(seed: int) -> None:
    """Refuse a seed that the random generators (NumPy, PyTorch, scikit-learn) cannot all take.

    Raises
    ------
    ConfigError
        It is under 0 or does not fit 32 bits.
    """
    if not 0 <= seed < 2**32:
        raise ConfigError(f"The seed is {seed}; a whole number from 0 to {2**32 - 1} is expected.")


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return yaml_names(RECIPES)


def from_dict(cls: type[Any], content: dict[str, Any], *, where: str) -> Any:
    """Build dataclass ``cls`` from a nested dictionary, refusing unknown keys and wrong types.

    Raises
    ------
    ConfigError
        Names the file, the key, what was found and what was expected.
    """
    hints = typing.get_type_hints(cls)
    known = {item.name for item in dataclasses.fields(cls)}
    values = {}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'.{nearest(str(key), known)}")
        values[key] = _convert(hints[key], value, f"{where}: {key}")
    try:
        return cls(**values)
    except ConfigError as error:  # a value out of range
        raise ConfigError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must hold keys and values, found {value!r}.")
        return from_dict(typing.cast(type, hint), value, where=where)
    origin = typing.get_origin(hint)
    if origin is Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise ConfigError(
                f"{where} is {value!r}; one of {', '.join(map(repr, options))} is expected."
                + nearest(str(value), map(str, options))
            )
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} must be a list, found {value!r}.")
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must hold keys and values, found {value!r}.")
        key_hint, value_hint = typing.get_args(hint)
        return {
            _convert(key_hint, key, where): _convert(value_hint, item, f"{where}.{key}")
            for key, item in value.items()
        }
    if origin in (types.UnionType, typing.Union):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML reads 1e-4 as a string
        try:
            return float(value)
        except ValueError:
            pass
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} is {value!r}; a value of type {hint.__name__} is expected.")
    return value


def _at_least(config: Any, name: str, minimum: int) -> None:
    if getattr(config, name) < minimum:
        raise ConfigError(f"{name} is {getattr(config, name)}; at least {minimum} is expected.")


def _between(config: Any, name: str, low: float, high: float) -> None:
    if not low <= getattr(config, name) <= high:
        raise ConfigError(f"{name} is {getattr(config, name)}; {low} to {high} is expected.")
