"""The whole chain on small populations: what it writes, and what runs again after a change."""

import json

import h5py
import numpy as np
import pytest
import torch
from projects import read_table

from lmcore.discovery.checkpoint import load_encoder
from lmcore.figures.schedule import read_jobs
from lmcore.population.store import Population

pytestmark = pytest.mark.workflow

VARIANTS = ("diatoms/variants/unregularized", "diatoms/variants/robust")
VOLUMES = ("camfai", "scans")
RUNS = ("toy", "diatoms", *VARIANTS, "mine", *VOLUMES)


def numbers(project, run):
    return {row["name"]: row for row in read_table(project.folder / f"results/{run}/numbers.csv")}


def test_every_run_has_the_files_of_the_contract(finished):
    results = finished.folder / "results"
    for run in RUNS:
        for name in (
            "model/encoder.pt",
            "model/history.csv",
            "landmarks/importance.csv",
            "analysis/registration.numbers.csv",
            "numbers.csv",
            "timings.csv",
            "figures/training.pdf",
            "figures/landmarks.png",
            "exports/landmarks.tps",
        ):
            assert (results / run / name).stat().st_size > 0, f"{run}/{name}"
        assert not (results / run / "model/checkpoint.pt").exists()
    for name in ("figures/figure_2.pdf", "figures/figure_3.png", "summary.md", "report.html"):
        assert (results / name).stat().st_size > 0, name


def test_numbers_are_complete_and_agree_with_the_tables(finished):
    toy, diatoms = numbers(finished, "toy"), numbers(finished, "diatoms")
    assert toy["landmarks_discovered"]["value"] == "6"
    assert toy["landmarks_retained"]["value"] == "4"
    wanted = "test_accuracy cv_accuracy majority_accuracy best_possible_accuracy"
    wanted += " adjusted_rand_index best_regularization registration_loss_ratio folded_share"
    assert set(wanted.split()) <= set(diatoms)
    assert "best_possible_accuracy" not in numbers(finished, "mine")  # nobody knows its truth
    assert float(diatoms["majority_accuracy"]["value"]) == 0.25
    assert diatoms["test_accuracy"]["paper"] == "1"
    choice = json.loads((finished.folder / "results/diatoms/regularization.json").read_text())
    assert float(diatoms["best_regularization"]["value"]) == choice["weight"]
    pairs = read_table(finished.folder / "results/toy/analysis/registration.csv")
    ratio = sum(float(p["loss_after"]) for p in pairs) / sum(float(p["loss_before"]) for p in pairs)
    assert float(toy["registration_loss_ratio"]["value"]) == pytest.approx(ratio, rel=1e-6)
    assert {row["run"] for row in read_table(finished.folder / "results/summary.csv")} == set(RUNS)


def test_the_summary_says_which_population_is_simulated(finished):
    origin = {
        row["run"]: row["population"] for row in read_table(finished.folder / "results/summary.csv")
    }
    assert origin["toy"] == "simulated population (toy)"
    assert origin["mine"] == "table my_images/subjects.csv"


def test_the_report_has_the_runs_schedule(finished):
    benchmarks = finished.folder / "results/benchmarks"
    jobs = read_jobs(benchmarks, RUNS)
    trials = jobs[jobs["rule"] == "cross_validate_regularization"]
    assert trials["run"].tolist() == ["diatoms"] * 4  # a job for each weight and fold
    trained = jobs[(jobs["rule"] == "train_encoder") & (jobs["run"] == "diatoms")]
    assert trials["end"].max() <= trained["begin"].item() + 1  # the clock of the file system
    assert jobs[jobs["rule"] == "train_encoder"]["run"].tolist() == list(RUNS)
    assert (benchmarks / "schedule.png").stat().st_size > 10_000
    report = (finished.folder / "results/report.html").read_text(encoding="utf-8")
    assert "results/benchmarks/schedule.png" in report


def test_landmarks_of_all_stages_agree(finished):
    """all.csv is what the encoder says of population.h5; retained.csv are rows of it; exports
    hold them in the original's pixels."""
    folder = finished.folder / "results/mine"
    encoder, _ = load_encoder(folder / "model/encoder.pt")
    with Population(folder / "population.h5") as population, torch.no_grad():
        points = encoder(torch.from_numpy(population.images([3])))[0].numpy()
        affine, subject = population.affines[3], population.subjects[3]
        height, width = population.shape
    rows = [r for r in read_table(folder / "landmarks/all.csv") if r["subject"] == subject]
    x, y = (np.array([float(row[key]) for row in rows]) for key in ("x", "y"))
    np.testing.assert_allclose(np.stack([x, y], -1), points, atol=1e-5)
    index = np.stack([(x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1), np.ones_like(x)])
    pixels = (affine @ index)[:2].T
    found = [[float(row["pixel_x"]), float(row["pixel_y"])] for row in rows]
    np.testing.assert_allclose(found, pixels, atol=1e-3)

    kept = [r for r in read_table(folder / "landmarks/retained.csv") if r["subject"] == subject]
    assert len(kept) == 3
    assert all(row in rows for row in kept)
    (wide,) = [r for r in read_table(folder / "exports/landmarks.csv") if r["subject"] == subject]
    for row in kept:
        assert float(wide[f"x{row['landmark']}"]) == pytest.approx(float(row["pixel_x"]))
        assert float(wide[f"y{row['landmark']}"]) == pytest.approx(float(row["pixel_y"]))


def test_examples_hold_the_registration_they_claim(finished):
    with h5py.File(finished.folder / "results/toy/analysis/examples.h5") as file:
        grid, source, registered = (file[k][0] for k in ("grid_points", "source", "registered"))
        at_target, at_source = file["target_points"][0], file["source_points"][0]
    height, width = source.shape
    column = np.clip((grid[..., 0] + 1) / 2 * (width - 1), 0, width - 1)
    row = np.clip((grid[..., 1] + 1) / 2 * (height - 1), 0, height - 1)
    nearest = source[np.rint(row).astype(int), np.rint(column).astype(int)]
    assert np.mean(np.abs(nearest - registered)) < 0.05 < np.mean(np.abs(source - 0.0))
    # T carries a target landmark to the source's
    i, j = (
        np.rint((at_target[:, a] + 1) / 2 * (n - 1)).astype(int)
        for a, n in ((0, width), (1, height))
    )
    np.testing.assert_allclose(grid[j, i], at_source, atol=3 / 40 * 2)


def test_volumes_are_measured_where_segmentations_are(finished):
    for run in VOLUMES:
        found = numbers(finished, run)
        assert 0 < float(found["dice_before"]["value"]) < 1
        assert found["hd95_after"]["unit"] == "mm"
        gain = float(found["dice_after"]["value"]) - float(found["dice_before"]["value"])
        assert float(found["dice_gain"]["value"]) == pytest.approx(gain, abs=1e-6)
    assert "masked_loss_ratio" in numbers(finished, "camfai")
    assert "masked_loss_ratio" not in numbers(finished, "scans")


def test_landmarks_of_volumes_are_in_the_scans_millimetres(finished):
    """Of an oblique scan, whose voxels lie anywhere but along the grid's axes."""
    folder = finished.folder / "results/scans"
    with Population(folder / "population.h5") as population:
        affine, shape = population.affines[5], population.shape
        assert not np.allclose(affine[:3, 3], 0)
        assert population.segmented.tolist() == [False] + 11 * [True]
    rows = [r for r in read_table(folder / "landmarks/all.csv") if r["subject"] == "s05"]
    points = np.array([[float(row[key]) for key in "xyz"] for row in rows])
    index = (points + 1) / 2 * (np.array(shape[::-1]) - 1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    found = [[float(row[f"world_{key}"]) for key in "xyz"] for row in rows]
    np.testing.assert_allclose(found, world, atol=1e-3)


def test_particles_name_their_engine_and_lie_on_the_surface(finished):
    folder = finished.folder / "results/camfai"
    engine = json.loads((folder / "particles/engine.json").read_text())
    assert "coherent point drift" in json.dumps(engine).lower()
    assert len(read_table(folder / "particles/particles.csv")) == 15 * 48
    assert len(read_table(folder / "particles/mean.csv")) == 48
    found = numbers(finished, "camfai")
    assert float(found["particles_cpd_surface_distance_max"]["value"]) < 0.1 * 4.0  # voxels
    assert 0 < float(found["landmarks_compactness"]["value"]) <= 1


def test_a_subject_without_a_segmentation_takes_part(finished):
    """It is aligned by intensity, which is said, registered, and classified by its landmarks."""
    folder = finished.folder / "results"
    log = (folder / "logs/scans/preprocess_population.log").read_text()
    assert "1 subjects without a segmentation are aligned by intensity: s00" in log
    landmarks = read_table(folder / "scans/landmarks/retained.csv")
    assert sum(row["subject"] == "s00" for row in landmarks) == 3
    found = numbers(finished, "scans")
    assert (found["cv_accuracy"]["n"], found["landmark_accuracy"]["n"]) == ("12", "11")
    particles = read_table(folder / "scans/particles/particles.csv")
    assert len({row["subject"] for row in particles}) == 11


def test_landmarks_and_particles_are_compared(finished):
    found = {name: float(row["value"]) for name, row in numbers(finished, "camfai").items()}
    difference = found["landmark_accuracy"] - found["particle_accuracy"]
    assert found["landmark_minus_particle_accuracy"] == pytest.approx(difference, abs=1e-8)
    assert found["landmark_accuracy"] == pytest.approx(found["cv_accuracy"], abs=0.05)
    assert "best_possible_auc" in found
    assert "dice_between_after" not in numbers(finished, "toy")
    for run in ("camfai", "diatoms"):
        assert (finished.folder / f"results/{run}/figures/classification.png").stat().st_size > 0


def test_a_second_run_has_nothing_to_do(finished):
    result = finished.run()
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "runs", "rests"),
    [
        (
            "lmcore/figures/charts.py",
            "alpha=0.8",
            "alpha=0.7",
            {"plot_clustering", "plot_figure_3"},
            {"train_encoder", "classify_subjects", "preprocess_population"},
        ),
        (
            "lmcore/registration/spline.py",
            "LARGEST_CONDITION_NUMBER = 1e13",
            "LARGEST_CONDITION_NUMBER = 1e12",
            {"train_encoder", "cross_validate_regularization", "rank_landmarks"},
            {"preprocess_population", "simulate_population"},
        ),
        (
            "lmcore/discovery/redundancy.py",
            "RANKING_POINTS = 4096",
            "RANKING_POINTS = 4095",
            {"rank_landmarks", "evaluate_registration"},
            {"train_encoder", "discover_landmarks"},
        ),
        (
            "lmcore/registration/spline.py",
            "# Above it, float64 keeps",
            "# Beyond it, float64 keeps",
            set(),
            {"train_encoder", "plot_training", "all"},
        ),
        (
            "my_images/s03.png",
            None,
            None,
            {"preprocess_population", "train_encoder"},
            {"simulate_population", "plot_figure_2"},
        ),
    ],
)
def test_an_edit_runs_what_depends_on_it_and_nothing_else(finished, file, old, new, runs, rests):
    path = finished.folder / file
    before = path.read_bytes()
    try:
        if old is None:
            path.write_bytes(before + b"another")
        else:
            assert old.encode() in before
            path.write_bytes(before.replace(old.encode(), new.encode(), 1))
        planned = finished.planned()
    finally:
        path.write_bytes(before)
    assert runs <= planned
    assert not rests & planned


def test_truth_is_an_input_of_evaluations_alone(finished):
    lines = finished.run("--detailed-summary").stdout.splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    readers = {row["rule"] for row in rows if "truth" in row["input-file(s)"]}
    assert len(rows) > 100
    assert readers == {"classify_subjects", "compare_mean_shapes"}


def test_a_study_is_made_of_what_is_there(finished):
    planned = finished.planned("studies")
    assert {"train_encoder", "tabulate_study", "plot_study"} <= planned
    assert not planned & {"preprocess_population", "build_particles"}
    result = finished.run("studies")
    assert result.returncode == 0, result.stderr[-3000:]
    table = read_table(finished.folder / "results/studies/supervision.csv")
    expected = {run: numbers(finished, run) for run in ("scans", "scans/variants/unsupervised")}
    assert [row["x"] for row in table] == ["0"] * 3 + ["50"] * 3
    for row in table:
        assert row["value"] == expected[row["run"]][row["name"]]["value"]
    assert (finished.folder / "results/studies/supervision.png").stat().st_size > 0
    summary = read_table(finished.folder / "results/summary.csv")
    assert not [row for row in summary if "unsupervised" in row["run"]]


def test_a_trained_encoder_serves_another_table(finished):
    model = finished.folder / "results/mine/model/encoder.pt"
    (finished.folder / "apply.yaml").write_text(f"""
run: [again]
pathvars: {{results: results/again, logs: results/again/logs, benchmarks: results/again/bench}}
experiments:
  again:
    population: {{table: results/mine/subjects.csv, root: my_images}}
    model: {{landmarks: 5, pretrained: {model.relative_to(finished.folder)}}}
    training: {{threads: 1}}
""")
    result = finished.run(config="apply.yaml")
    assert result.returncode == 0, result.stderr[-3000:]
    folder = finished.folder / "results"
    again = (folder / "again/again/landmarks/all.csv").read_bytes()
    assert again == (folder / "mine/landmarks/all.csv").read_bytes()
    assert len(read_table(folder / "again/again/model/history.csv")) == 0
