"""config/README.md and schemas/config.schema.yaml say the same."""

import re
from pathlib import Path

import pytest
import yaml

from lmcore.configuration import (
    check_configuration,
    check_run,
    expand_runs,
    fill_defaults,
    merge,
)

ROOT = Path(__file__).parents[2]
REQUIRED, NONE = "required", "–"
NO_KEYS = ("", "experiments", "experiments.NAME", "variants.NAME", "studies.NAME")
ROW = re.compile(r"^\| `([\w.]+)` \| (`[^`]*`|required|–) \| \S.*\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def schema():
    return yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))


def keys_of(part: dict, schema: dict, path: str = "", required: bool = False):
    """(path, default) of every key that can be set; a mapping that holds only keys is none."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        part = {**schema["$defs"][name], **part}
    alternatives = [part, *part.get("anyOf", ())]
    inner = [one for one in alternatives if "properties" in one]
    open_mapping = isinstance(part.get("additionalProperties"), dict)
    holder = inner and "anyOf" not in part and part.get("default", {}) == {}
    if path not in NO_KEYS and not holder:
        yield path, REQUIRED if required else part.get("default", NONE)
    if open_mapping:
        yield from keys_of(part["additionalProperties"], schema, f"{path}.NAME")
    path = "" if path == "experiments.NAME" else path
    for one in inner:
        for key, value in one["properties"].items():
            below = f"{path}.{key}" if path else key
            yield from keys_of(value, schema, below, key in one.get("required", ()))


def documented() -> list[tuple[str, object]]:
    """(path, default) of every row of the tables of keys."""
    rows = ROW.findall((ROOT / "config/README.md").read_text(encoding="utf-8"))
    return [
        (key, yaml.safe_load(default.strip("`")) if default.startswith("`") else default)
        for key, default in rows
    ]


def test_every_key_of_the_schema_is_documented_with_its_default_and_no_other(schema):
    known, told = dict(keys_of(schema, schema)), documented()
    assert len(told) == len(dict(told)), "a key is documented twice"
    assert dict(told).keys() == known.keys()
    assert dict(told) == known


def test_the_walk_reaches_keys_at_every_depth(schema):
    known = dict(keys_of(schema, schema))
    assert known["seed"] == 2021
    assert known["run"] == REQUIRED
    assert known["population.split.train"] == 0.8
    assert known["training.regularization"] == 0.01
    assert known["training.regularization.weights"] == REQUIRED
    assert known["analyses.classification"] is None
    assert known["analyses.classification.repeats"] == 10
    assert known["variants.NAME.study"] == NONE
    assert "population.split" not in known


def test_the_example_of_own_images_is_a_valid_configuration(schema):
    example = yaml.safe_load((ROOT / "config/examples/own_images.yaml").read_text(encoding="utf-8"))
    check_configuration(example, schema)
    runs = expand_runs(fill_defaults(example, schema), schema)
    assert list(runs) == ["mine"]
    assert runs["mine"]["population"]["table"] == "my_images/subjects.csv"
    assert runs["mine"]["preprocess"]["size"] is None
    assert runs["mine"]["training"]["recipe"] == "robust"


@pytest.mark.parametrize("heading", ["How to add an experiment", "How to add a variant"])
def test_the_configurations_shown_are_valid(schema, heading):
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = [part.strip("\n") for part in section.split("\n\n")]
    shown = yaml.safe_load(next(block for block in blocks if block.startswith("    run:")))
    check_configuration(shown, schema)
    both = merge(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), shown)
    runs = expand_runs(fill_defaults(both, schema), schema)
    assert shown["run"][0] in runs
    for name, run in runs.items():
        check_run(name, run)
