from pathlib import Path

import pytest
import yaml

from lmcore.configuration import (
    check_configuration,
    check_run,
    expand_runs,
    expand_studies,
    fill_defaults,
    merge,
    particle_count,
)
from lmcore.errors import InputError

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
TOY = {"population": {"simulate": "toy"}}


def runs_of(text: str) -> dict:
    """Runs of a configuration written as YAML, through every check the Snakefile makes."""
    config = yaml.safe_load(text)
    check_configuration(config, SCHEMA)
    runs = expand_runs(fill_defaults(config, SCHEMA), SCHEMA)
    for name, run in runs.items():
        check_run(name, run)
    return runs


def experiment(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in ("population: {simulate: toy}", *lines))
    return f"run: [mine]\nexperiments:\n  mine:\n{body}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            experiment("training: {regularisation: 1.0}"),
            "unknown key experiments.mine.training.regularisation in the configuration: "
            "did you mean regularization?",
        ),
        (
            "run: [mine]\nexperiment: {}",
            "unknown key experiment in the configuration: did you mean experiments?",
        ),
        (
            experiment("redundancy: {zzz: 3}"),
            "unknown key experiments.mine.redundancy.zzz in the configuration: "
            "known are retain, threshold, region",
        ),
        (
            experiment("training: {regularization: {weight: [1.0, 2.0]}}"),
            "unknown key experiments.mine.training.regularization.weight in the configuration: "
            "did you mean weights?",
        ),
        (
            experiment("variants: {wide: {training: {batchs: 3}}}"),
            "unknown key experiments.mine.variants.wide.training.batchs in the configuration: "
            "did you mean batch?",
        ),
        (
            experiment("model: {kernel: papr}"),
            "experiments.mine.model.kernel is 'papr', it can be paper, thin_plate: "
            "did you mean paper?",
        ),
        (
            experiment("model: {landmarks: ten}"),
            "experiments.mine.model.landmarks is 'ten', it must be of type integer",
        ),
        (
            experiment("training: {regularization: -1}"),
            "experiments.mine.training.regularization: -1 is less than the minimum of 0",
        ),
        ("experiments: {}", "the configuration: 'run' is a required property"),
        ("run: []", "run: [] should be non-empty"),
        ("- run", "the configuration is ['run'], it must be of type object"),
        # a number is a key, too
        (
            "run: [a]\nexperiments: {1: {x: 1}, a: {model: {hiden: 1}}}",
            "unknown key experiments.1.x in the configuration: known are population, preprocess, "
            "model, training, redundancy, particles, analyses, variants",
        ),
        (
            "run: [yours]\nexperiments: {mine: {}}",
            "run names the experiment yours, but experiments has mine",
        ),
        (
            "run: [all]\nexperiments: {all: {}}",
            "an experiment cannot be named all: choose another name",
        ),
        (
            "run: [mine]\nexperiments: {mine: {}}",
            "experiments.mine.population needs a table of subjects (table) or a simulated one "
            "(simulate)",
        ),
        (
            experiment("training: {subjects: {fold: 3, folds: 3}}"),
            "experiments.mine.training.subjects: fold 3 of 3; they count from 0",
        ),
        (
            experiment("redundancy: {retain: 17}"),
            "experiments.mine.redundancy.retain is 17, more than the 16 of model.landmarks",
        ),
        (
            experiment("model: {initial_landmarks: particles}"),
            "experiments.mine.model.initial_landmarks is particles: the block particles has to ask "
            "for as many as there are landmarks (16), its count is 0",
        ),
        (
            experiment(
                "model: {landmarks: 80, initial_landmarks: particles}", "particles: {count: 79}"
            ),
            "experiments.mine.model.initial_landmarks is particles: the block particles has to ask "
            "for as many as there are landmarks (80), its count is 79",
        ),
        (
            experiment("variants: {few: {model: {landmarks: 3}, redundancy: {retain: 4}}}"),
            "experiments.mine.variants.few.redundancy.retain is 4, more than the 3 of "
            "model.landmarks",
        ),
        (
            experiment("analyses: {clustering: {}}"),
            "experiments.mine.analyses.clustering needs population.class, the column with the "
            "class",
        ),
        (
            experiment("training: {recipe: paper, hide: true}"),
            "experiments.mine.training.hide belongs to the recipe robust: the paper's shows no "
            "moved images",
        ),
        (
            experiment("training: {pairs: 10, validate_every: 11}"),
            "experiments.mine.training.validate_every is 11, more than training.pairs (10)",
        ),
        (
            "run: [mine]\nexperiments: {mine: {population: {simulate: toy, train_on: control}}}",
            "experiments.mine.population.train_on is control: population.class and "
            "population.control have to say who that is",
        ),
        (
            experiment("preprocess: {window: [0, 80]}"),
            "experiments.mine.preprocess.window belongs to preprocess.intensity window, and is "
            "needed there",
        ),
        (
            experiment("preprocess: {intensity: window, window: [80, 0]}"),
            "experiments.mine.preprocess.window is [80, 0], it must be low, then high",
        ),
        (
            experiment("preprocess: {region: {low: [0, 0, 0.5], high: [1, 1, 0.5]}}"),
            "experiments.mine.preprocess.region: every low must be below its high",
        ),
        (
            experiment("training: {mask: true}"),
            "experiments.mine.training.mask needs preprocess.region, the box",
        ),
        (
            experiment("redundancy: {region: true}"),
            "experiments.mine.redundancy.region needs preprocess.region, the box",
        ),
    ],
)
def test_one_sentence_names_the_key(text, message):
    with pytest.raises(InputError) as raised:
        runs_of(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("size", "stride", "smallest"),
    [
        ([16, 16], "null", 16),
        ([24, 24], "2", 32),
        ([24, 24, 24], "null", 32),
        ([24, 24, 24], "1", 16),
        ([32, 32, 32], "null", 32),
    ],
)
def test_how_small_an_image_can_be_follows_from_the_stride(size, stride, smallest):
    population = "{simulate: toy}" if len(size) == 2 else "{simulate: femur}"
    run = f"{{population: {population}, preprocess: {{size: {size}}}, model: {{stride: {stride}}}}}"
    text = f"run: [mine]\nexperiments: {{mine: {run}}}"
    if min(size) >= smallest:
        runs_of(text)
        return
    with pytest.raises(InputError, match=f"preprocess.size is .* needs {smallest} pixels a side"):
        runs_of(text)


@pytest.mark.parametrize(
    ("written", "right"),
    [("1e-5", "1.0e-5"), ("1e5", "1.0e+5"), ("2.5e3", "2.5e+3"), ("-3E-2", "-3.0e-2")],
)
@pytest.mark.parametrize("place", ["regularization: {}", "regularization: {{weights: [0.1, {}]}}"])
def test_numbers_that_yaml_reads_as_text(written, right, place):
    assert isinstance(yaml.safe_load(written), str)
    assert isinstance(yaml.safe_load(right), float)
    line = f"training: {{{place.format(written)}}}"
    with pytest.raises(InputError) as raised:
        runs_of(experiment(line))
    message = str(raised.value)
    assert message.startswith("experiments.mine.training.regularization")
    assert f" is the text '{written}'" in message
    assert message.endswith(f"write {right}")


def test_shares_of_the_split_add_up():
    text = experiment().replace("simulate: toy", "simulate: toy, split: {train: 0.7}")
    with pytest.raises(InputError, match=r"population\.split: .* adds up to 0\.9, not 1"):
        runs_of(text)


def test_each_engine_has_its_own_number_of_particles():
    def count(block: str) -> int:
        return particle_count(runs_of(experiment(f"particles: {block}"))["mine"]["particles"])

    assert count("{}") == 256
    assert count("{engine: shapeworks}") == 2048
    assert count("{engine: shapeworks, count: 64}") == 64


class TestDefaults:
    def test_at_every_depth(self):
        run = runs_of("run: [mine]\nexperiments: {mine: {population: {simulate: toy}}}")["mine"]
        assert run["population"]["split"] == {"train": 0.8, "validation": 0.1, "test": 0.1}
        assert run["training"]["batch"] == 12
        assert set(run["analyses"].values()) == {None}

    def test_of_a_mapping_where_a_number_would_do(self):
        text = experiment("training: {regularization: {weights: [0.1, 1.0]}}")
        grid = runs_of(text)["mine"]["training"]["regularization"]
        assert grid == {"weights": [0.1, 1.0], "folds": 3, "pairs": 50000}
        text = experiment("training: {regularization: 0.5}")
        assert runs_of(text)["mine"]["training"]["regularization"] == 0.5

    def test_of_a_mapping_where_nothing_would_do(self):
        text = experiment("analyses: {classification: {folds: 3}}")
        text = text.replace("simulate: toy", "simulate: toy, class: kind")
        analyses = runs_of(text)["mine"]["analyses"]
        assert analyses["classification"] == {
            "hidden_layers": [32], "iterations": 300, "folds": 3, "repeats": 10
        }  # fmt: skip
        assert analyses["clustering"] is None

    def test_nothing_given_is_overwritten_or_changed(self):
        config = {"run": ["mine"], "experiments": {"mine": {"model": {"landmarks": 3}}}}
        filled = fill_defaults(config, SCHEMA)
        assert filled["experiments"]["mine"]["model"]["landmarks"] == 3
        assert filled["experiments"]["mine"]["model"]["kernel"] == "paper"
        assert config == {"run": ["mine"], "experiments": {"mine": {"model": {"landmarks": 3}}}}
        assert fill_defaults(filled, SCHEMA) == filled

    def test_they_obey_the_schema(self):
        check_configuration(
            fill_defaults({"run": ["a"], "experiments": {"a": TOY}}, SCHEMA), SCHEMA
        )


def test_merge():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}, "c": 3}
    over = {"a": {"y": [3]}, "b": 0, "c": {"new": 1}}
    assert merge(base, over) == {"a": {"x": 1, "y": [3]}, "b": 0, "c": {"new": 1}}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}, "c": 3}


class TestVariants:
    text = experiment(
        "training: {regularization: {weights: [0.1, 1.0]}, batch: 7}",
        "model: {landmarks: 5}",
        "variants:",
        "  free: {training: {regularization: 0.0}, study: true}",
        "  wider: {training: {regularization: {weights: [0.1, 1.0, 10.0]}}}",
    )

    def test_go_over_their_experiment(self):
        runs = runs_of(self.text)
        assert list(runs) == ["mine", "mine/variants/free", "mine/variants/wider"]
        free, wider = runs["mine/variants/free"], runs["mine/variants/wider"]
        assert free["training"]["regularization"] == 0.0
        assert wider["training"]["regularization"] == {
            "weights": [0.1, 1.0, 10.0],
            "folds": 3,
            "pairs": 50000,
        }
        for run in (free, wider):
            assert run["training"]["batch"] == 7
            assert run["model"] == runs["mine"]["model"]
            assert set(run) == set(runs["mine"])  # neither `variants` nor `study`

    def test_a_mapping_over_a_number_has_its_defaults(self):
        text = experiment("variants: {grid: {training: {regularization: {weights: [0.1, 1.0]}}}}")
        grid = runs_of(text)["mine/variants/grid"]["training"]["regularization"]
        assert grid["folds"] == 3

    def test_only_of_experiments_to_be_done(self):
        text = self.text + "  other:\n    population: {simulate: toy}\n"
        assert set(runs_of(text.replace("[mine]", "[other]"))) == {"other"}


def test_a_study_is_of_runs_that_are_there_and_left_out_where_they_are_not_done():
    config = yaml.safe_load(TestVariants.text)
    config["experiments"]["other"] = TOY
    runs = runs_of(yaml.safe_dump(config))

    def expand(*names):
        study = {"question": "?", "x": "x", "panels": {"Dice": ["dice_after"]}}
        study["runs"] = dict.fromkeys(names, 1)
        return list(expand_studies(config | {"studies": {"a": study}}, runs))

    assert expand("mine", "mine/variants/free") == ["a"]
    assert expand("mine", "other/variants/any") == []  # other is not in run
    for name, hint in (("mine/variants/fre", "mine/variants/free"), ("othr/variants/x", "other")):
        with pytest.raises(InputError, match=f"studies.a.runs names {name}, .*did you mean {hint}"):
            expand("mine", name)


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / name for name in ("config.yaml", "benchmarks/growth.yaml")),
        *sorted((ROOT / "config").rglob("*.yaml")),
    ],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_shipped_configurations_are_right(path):
    config = merge(
        yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")),
        yaml.safe_load(path.read_text(encoding="utf-8")),
    )
    runs = runs_of(yaml.safe_dump(config))
    config = fill_defaults(config, SCHEMA)
    assert list(expand_studies(config, runs)) == list(config["studies"])
