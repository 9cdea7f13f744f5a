"""Runs of a configuration: their analyses and figures, and where their images come from."""

from pathlib import Path

import pytest
import yaml

from lmcore.errors import InputError
from lmcore.runs import load_runs, paper_figures, rule_names

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))


def load(**experiments):
    _, runs = load_runs({"run": list(experiments), "experiments": experiments}, SCHEMA, ["taken"])
    return runs


@pytest.fixture
def table(tmp_path):
    """Writes a table of landmarks or of images that nobody reads; its path."""

    def write(column):
        names = [f"s{n:02d}" for n in range(12)]
        for name in names:
            (tmp_path / f"{name}.png").touch()
        rows = [f"{name},{name}.png,{'ab'[n % 2]}" for n, name in enumerate(names)]
        (tmp_path / "mine").mkdir(exist_ok=True)
        path = tmp_path / "mine/subjects.csv"
        path.write_text("\n".join([f"subject,{column},kind", *rows]))
        return {"table": str(path), "root": str(tmp_path), "class": "kind"}

    return write


def test_the_shipped_experiments_make_every_figure_of_the_paper():
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    _, runs = load_runs(config, SCHEMA)
    assert paper_figures(runs) == [2, 3, 4, 5, 6, 7, 8, 9]
    runs["camfai"].settings["preprocess"]["region"] = None
    assert paper_figures(runs) == [2, 3, 4, 5, 7, 8, 9]
    del runs["diatoms/variants/unregularized"], runs["metopic"]
    assert paper_figures(runs) == [3, 7, 8, 9]


def test_a_variant_shares_the_population_of_its_experiment():
    variants = {"more": {"study": True, "training": {"pairs": 20000}}}
    runs = load(toy={"population": {"simulate": "toy"}, "variants": variants})
    toy, more = runs["toy"], runs["toy/variants/more"]
    assert (toy.is_variant, toy.is_study, more.is_variant, more.is_study) == (
        False,
        False,
        True,
        True,
    )
    assert more.experiment == toy.experiment == "toy"
    assert toy.figures == ["population", *more.figures]
    assert more["training"]["pairs"] == 20000
    assert toy.simulation == "toy"
    assert not toy.simulates_volumes
    assert toy.origin == "simulated population (toy)"


def test_what_the_simulated_populations_bring():
    names = ["toy", "diatoms", "cranium", "femur", "atrium"]
    runs = load(**{f"of_{name}": {"population": {"simulate": name}} for name in names})
    volumes = [run.simulation for run in runs.values() if run.simulates_volumes]
    assert volumes == ["cranium", "femur", "atrium"]
    assert [run.simulation for run in runs.values() if run.is_rated] == ["cranium"]


def test_groups_are_registered_where_an_analysis_compares_them():
    population = {"simulate": "cranium", "class": "group", "control": "control"}
    skulls = load(skulls={"population": population, "analyses": {"severity": {}}})["skulls"]
    assert skulls.analyses == ["registration", "severity", "group_registration"]
    assert "group_registration" not in skulls.figures


def test_an_engine_or_an_encoder_that_is_not_there_is_refused():
    population = {"simulate": "femur"}
    particles = {"engine": "shapeworks", "path": "nowhere/shapeworks"}
    with pytest.raises(InputError, match="nowhere/shapeworks"):
        load(mine={"population": population, "particles": particles})
    run = load(mine={"population": population, "particles": particles | {"module": "shape"}})[
        "mine"
    ]
    assert run.uses_shapeworks
    with pytest.raises(InputError, match="model.pretrained of mine, no.pt, does not exist"):
        load(mine={"population": population, "model": {"pretrained": "no.pt"}})


def test_what_a_table_cannot_answer_is_refused(table):
    population = table("image")
    with pytest.raises(InputError, match="population.person: .* no label column 'who'"):
        load(mine={"population": population | {"person": "who"}})
    with pytest.raises(InputError, match="fewer subjects than the 7 folds"):
        load(mine={"population": population, "analyses": {"classification": {"folds": 7}}})
    with pytest.raises(InputError, match="training.supervision needs a column segmentation"):
        load(mine={"population": population, "training": {"supervision": {"weight": 1.0}}})
    with pytest.raises(InputError, match="experiments.mine.model: .* gives landmarks"):
        load(mine={"population": table("landmarks"), "model": {"landmarks": 4}})


def test_a_table_wins_over_a_simulated_population(table):
    population = table("image") | {"simulate": "cranium"}
    seen = {"training": {"subjects": "all"}}
    runs = load(mine={"population": population, "variants": {"seen": seen}})
    mine = runs["mine"]
    assert mine.simulation is None
    assert not mine.is_rated
    assert not mine.gives_landmarks
    assert mine.origin == "table mine/subjects.csv"
    assert runs["mine/variants/seen"].origin.endswith(", test subjects trained the encoder, too")
    assert mine.analyses == ["registration"]


def test_given_landmarks_have_the_figures_of_their_analyses_alone(table):
    population = table("landmarks") | {"control": "a"}
    analyses = {"severity": {}, "classification": {"folds": 3}}
    mine = load(mine={"population": population, "analyses": analyses})["mine"]
    assert mine.gives_landmarks
    assert mine.group_analysis == "severity"
    assert sorted(mine.analyses) == sorted(mine.figures) == ["classification", "severity"]


def test_lambda_is_chosen_where_it_is_a_grid_and_something_is_trained():
    grid = {"weights": [1.0e-3, 1.0e-2]}
    training = {"regularization": grid}
    toy = load(toy={"population": {"simulate": "toy"}, "training": training})["toy"]
    assert toy.weight_grid["weights"] == grid["weights"]
    assert "regularization" in toy.figures
    toy.settings["model"]["pretrained"] = "encoder.pt"
    assert toy.weight_grid is None
    assert "regularization" not in toy.figures


def test_rules_are_known_by_their_names_whatever_runs_them():
    names = rule_names(ROOT / "rules")
    # with a script in Python, with one of the shell, and made from another one
    assert {"train_encoder", "optimize_shapes", "simulate_crania", "figures"} <= set(names)
    assert "name" not in names  # of the targets, which are made in a loop


def test_an_experiment_cannot_have_the_name_of_a_rule():
    with pytest.raises(InputError, match="rename the experiment taken"):
        load(taken={"population": {"simulate": "toy"}})
