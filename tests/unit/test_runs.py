"""Runs of a configuration: their analyses and figures, and where their images come from."""

from pathlib import Path

import pytest
import yaml

from lmcore.errors import InputError
from lmcore.runs import load_runs, paper_figures

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
    complete, runs = load_runs(config, SCHEMA)
    assert complete["seed"] == 2021
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
    assert toy.grid["weights"] == grid["weights"]
    assert "regularization" in toy.figures
    toy.settings["model"]["pretrained"] = "encoder.pt"
    assert toy.grid is None
    assert "regularization" not in toy.figures


def test_an_experiment_cannot_have_the_name_of_a_rule():
    with pytest.raises(InputError, match="rename the experiment taken"):
        load(taken={"population": {"simulate": "toy"}})
