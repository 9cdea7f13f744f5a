"""The figures of any experiment on images: chosen subjects, their own pixels and points."""

import h5py
import numpy as np
import pandas as pd
from drawing import (
    analysis_files,
    bare_axes,
    classification_tables,
    importance_table,
    on_pixels,
    shown_points,
)
from PIL import Image

from lmcore.figures import (
    analyses,
    experiment,
    montages,
    panels,
    paper,
    registration,
    selection,
    style,
)
from lmcore.figures.classification import plot_classification
from lmcore.points.geometry import index_to_normalised


def test_landmark_figure_shows_test_subjects_with_their_own_image_and_points(
    run, saved, monkeypatch
):
    folder, shape, names, images, points = run
    monkeypatch.setattr(experiment, "IMAGES", 2)
    experiment.plot_landmarks(
        folder / "population.h5", folder / "subjects.csv", folder / "retained.csv",
        [folder / "out.png"], "simulated population", "kind",
    )  # fmt: skip
    first, second = saved[0].axes
    # one of each class, from the middle of its test subjects: a is odd, b even
    for axes, number, label in ((first, 9, "a"), (second, 8, r"b\$b")):
        assert axes.get_title().startswith(f"{label}\na_sub")
        assert axes.get_title().endswith(names[number][-3:])
        expected = panels.show_image(bare_axes(), images[number]).get_array()
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        np.testing.assert_allclose(
            shown_points(axes), on_pixels(points[number, [1, 3, 4]], shape), rtol=1e-6
        )
    assert saved[0].get_supxlabel() == "subjects of the test split · simulated population"


def test_population_figure_shows_all_splits(run, saved):
    folder, _, names, images, _ = run
    montages.plot_population(
        folder / "population.h5", folder / "subjects.csv", [folder / "out.png"], "table of mine"
    )
    axes = [ax for ax in saved[0].axes if ax.images]
    assert len(axes) == 12
    for ax, image, name in zip(axes, images, names, strict=True):
        expected = panels.show_image(bare_axes(), image).get_array()
        np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        assert ax.get_title().endswith(name[-3:])
    assert saved[0].get_supxlabel() == "12 of 12 subjects after preprocessing · table of mine"


def test_registration_figure_shows_each_pair(run, saved):
    folder, shape, names, images, points = run
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    grid = index_to_normalised(np.stack([x, y], axis=-1), shape)
    with h5py.File(folder / "examples.h5", "w") as file:
        file["source"], file["target"] = images[:4, 0], images[4:8, 0]
        file["registered"] = images[8:, 0]
        file["source_points"], file["target_points"] = points[:4], points[4:8]
        file["numbers"], file["retained"] = np.arange(1, 6), np.isin(np.arange(5), [1, 3, 4])
        file["grid_points"] = np.stack([grid] * 4)
        for name, chosen in (("source_subjects", names[:4]), ("target_subjects", names[4:8])):
            file.create_dataset(name, data=chosen, dtype=h5py.string_dtype())
    registration.plot_registration(folder / "examples.h5", [folder / "out.png"], "simulated")
    axes = [ax for ax in saved[0].axes if ax.get_title()]
    titles = list(registration.KINDS)
    if shape[1] > shape[0]:  # else the panels are too narrow for it
        titles[4:6] = "|source - target|", "|registered - target|"
    assert [ax.get_title() for ax in axes] == titles * 4
    assert saved[0].get_figheight() <= style.TALLEST
    for pair in range(4):
        source, target, registered, _, before, after, mesh = axes[7 * pair : 7 * pair + 7]
        for ax, subject in ((source, pair), (target, pair + 4), (registered, pair + 8)):
            expected = panels.show_image(bare_axes(), images[subject]).get_array()
            np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        removed, kept = (group.get_offsets().data for group in target.collections)
        np.testing.assert_allclose(kept, on_pixels(points[pair + 4, [1, 3, 4]], shape), rtol=1e-6)
        np.testing.assert_allclose(removed, on_pixels(points[pair + 4, [0, 2]], shape), rtol=1e-6)
        difference = np.abs(images[pair, 0] - images[pair + 4, 0])
        np.testing.assert_allclose(before.images[0].get_array(), difference, rtol=1e-6)
        difference = np.abs(images[pair + 8, 0] - images[pair + 4, 0])
        np.testing.assert_allclose(after.images[0].get_array(), difference, rtol=1e-6)
        assert before.images[0].get_clim() == after.images[0].get_clim()
        assert mesh.collections[0].get_segments()[0][-1].tolist() == [shape[1] - 1, 0]


def test_every_figure_is_rendered_without_a_warning(run, recwarn):
    folder, _, names, _, _ = run
    analysis_files(folder, names)
    pd.DataFrame(
        {"epoch": [1], "pairs": [40], "train_loss": [1.0], "validation_loss": [np.nan],
         "kappa": [1e4], "failures": [0], "kept": [1]}
    ).to_csv(folder / "history.csv", index=False)  # fmt: skip
    importance_table().to_csv(folder / "importance.csv", index=False)
    population, subjects = folder / "population.h5", folder / "subjects.csv"
    retained = folder / "retained.csv"
    png = "{}.png".format

    def to(name):
        return [folder / png(name)]

    montages.plot_population(population, subjects, to("population"), "mine", "kind")
    experiment.plot_landmarks(population, subjects, retained, to("landmarks"), "mine")
    experiment.plot_training(folder / "history.csv", to("training"), "mine")
    experiment.plot_importance(folder / "importance.csv", 2, to("importance"), "mine")
    analyses.plot_clustering(folder / "clustering.csv", to("clustering"), "mine")
    for name, predicted in (("tested", ["", "", "NA", "c", "c", "NA"]), ("untested", [""] * 6)):
        plot_classification(*classification_tables(folder, predicted), to(name), "mine")
    weights, choice = folder / "weights.csv", folder / "choice.json"
    analyses.plot_regularization(weights, choice, to("regularization"), "mine")
    paper.figure_2(
        population, subjects, folder / "all.csv", folder / "all.csv", retained, to("figure_2"), ""
    )
    paper.figure_3(
        population, subjects, retained, "kind", weights, choice, folder / "clustering.csv",
        folder / "clustering.numbers.csv", to("figure_3"), "mine",
    )  # fmt: skip
    assert not recwarn.list
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.width <= 7.2 * style.DPI
            assert image.height <= style.TALLEST * style.DPI
            assert np.asarray(image.convert("L")).std() > 10


def test_subjects_are_spread_over_classes_and_within_them():
    table = pd.DataFrame({"subject": list("abcdefghij"), "kind": ["x"] * 6 + ["y"] * 3 + ["w"]})
    assert selection.spread_over_classes(table, "kind", 5) == ["j", "b", "e", "g", "i"]
    assert selection.spread_over_classes(table, None, 2) == ["c", "h"]
    assert sorted(selection.spread_over_classes(table, "kind", 99)) == list("abcdefghij")


def test_the_split_that_proves_most_is_shown():
    table = pd.DataFrame({"subject": list("abc"), "split": ["train", "validation", "train"]})
    shown, split = selection.shown_split(table)
    assert (shown["subject"].tolist(), split) == (["b"], "validation")
