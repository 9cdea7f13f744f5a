"""What accuracy.py trains with: defaults for one's own images, and what the command line says."""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import yaml

from lmcore.configuration import check_configuration, fill_defaults, merge
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings
from lmcore.errors import InputError

SCHEMA = Path(__file__).resolve().parents[1] / "schemas" / "config.schema.yaml"
# What a recipe is without one of its parts; its units are no part, they only name the weights anew.
PARTS = {
    "nothing": {},  # what the others are held against
    "heatmap": {"head": "linear"},
    "spread": {"spread": False},
    "local": {"local": False},
    "equivariance": {"equivariance": 0.0},  # nor copies, which are made for it
    "copies": {"copies": False},
    "annealed": {"annealed": False},  # the best weights are then kept in place of the last
}
# The paper's recipe weighs kappa itself; config.yaml's toy experiment has this weight, and the
# grid of its diatoms has it in the middle. The robust recipe has the schema's default.
PAPER_REGULARIZATION = 1e-6
# Learned landmarks in 2D for classes, as the diatoms have, in 2D otherwise, and in 3D.
LANDMARKS_OF_CLASSES, LANDMARKS_2D, LANDMARKS_3D = 16, 20, 32
# Pixels of all pairs to see, where that is less than the default of one's own images, so that a
# training takes some ten minutes on two cores.
TRAINING_PIXELS = {2: 2.8e9, 3: 2.5e9}
# Pixels of the pairs of a step, for the memory.
STEP_PIXELS = 3.2e6


def configured(options: argparse.Namespace, shape: tuple[int, ...] = (0, 0)) -> dict:
    """The run's configuration: defaults of the schema for one's own images, then the command line.

    Arguments:
        shape: of the prepared images, which decides the length of the training.
    Raises:
        InputError: if --set names no key of the configuration, or gives a wrong value.
    """
    pixels, training = max(math.prod(shape), 1), {}
    if options.recipe == "paper":
        training["regularization"] = PAPER_REGULARIZATION
    if len(shape) == 3:
        landmarks = LANDMARKS_3D
        fitting = [n for n in range(3, 13) if n * (n - 1) * pixels <= STEP_PIXELS]
        training |= {"grid_stride": 2, "batch": max(fitting, default=3)}
    else:
        landmarks = LANDMARKS_2D
    if options.class_column:
        landmarks = LANDMARKS_OF_CLASSES
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    default = schema["$defs"]["training"]["properties"]["pairs"]["default"]
    training["pairs"] = options.pairs or int(min(default, TRAINING_PIXELS[len(shape)] / pixels))
    training |= {"recipe": options.recipe, "gpus": int(options.device == "cuda")}
    training["validate_every"] = max(1, training["pairs"] // 30)
    run = {
        "population": {"table": str(options.table)},
        "preprocess": {"size": options.size} if options.size else {},
        "model": {"landmarks": options.landmarks_count or landmarks},
        "training": training,
    }
    for text in options.set:
        key, _, value = text.partition("=")
        try:
            nested = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"--set {text}: what follows the = is not YAML") from None
        for name in reversed(key.split(".")):
            nested = {name: nested}
        run = merge(run, nested)
    check_configuration({"run": ["accuracy"], "experiments": {"accuracy": run}}, schema)
    return fill_defaults(run, {"$ref": "#/$defs/experiment"}, schema)


def training_settings(run: dict, without: str | None = None) -> TrainingSettings:
    """The training of a run, by its recipe or by the robust one less a part of PARTS.

    Raises:
        InputError: if its weight is a grid, which is not cross-validated here.
    """
    weight = run["training"]["regularization"]
    if isinstance(weight, dict):
        raise InputError("training.regularization has to be one number here, not a grid")
    settings = TrainingSettings.of(run["model"], run["training"], weight)
    if without is None:
        return settings
    name = f"robust without {without}"
    RECIPES[name] = replace(RECIPES["robust"], **PARTS[without])
    return replace(settings, recipe=name)
