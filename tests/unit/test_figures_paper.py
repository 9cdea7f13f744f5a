"""The paper's figures as compositions of panels."""

import numpy as np
import pandas as pd
from drawing import analysis_files, bare_axes, on_pixels, shown_points
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lmcore.figures import panels, paper


def test_figure_2_compares_four_landmark_sets_on_one_image(run, saved):
    folder, shape, _, images, points = run
    frame = pd.read_csv(folder / "all.csv")
    frame[["x", "y"]] *= 0.1  # crowded
    frame.to_csv(folder / "crowded.csv", index=False)
    paper.figure_2(
        folder / "population.h5", folder / "subjects.csv", folder / "crowded.csv",
        folder / "all.csv", folder / "retained.csv", [folder / "out.pdf"], "simulated", "kind",
    )  # fmt: skip
    before, after, unregularized, regularized = saved[0].axes
    expected = panels.show_image(bare_axes(), images[9]).get_array()
    for axes, chosen, count in (
        (before, points[9], 5),
        (after, points[9, [1, 3, 4]], 3),
        (unregularized, points[9] * 0.1, 5),
        (regularized, points[9], 5),
    ):
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        np.testing.assert_allclose(shown_points(axes), on_pixels(chosen, shape), rtol=1e-6)
        assert axes.get_title().endswith(f"{count} landmarks")


def test_figure_3_holds_images_the_curve_and_both_scatter_plots(run, saved):
    folder, shape, names, images, points = run
    analysis_files(folder, names)
    paper.figure_3(
        folder / "population.h5", folder / "subjects.csv", folder / "retained.csv", "kind",
        folder / "weights.csv", folder / "choice.json", folder / "clustering.csv",
        folder / "clustering.numbers.csv", [folder / "out.png"], "simulated population",
    )  # fmt: skip
    pictures = [ax for ax in saved[0].axes if ax.images]
    for axes, number in zip(pictures, (9, 8), strict=True):
        expected = panels.show_image(bare_axes(), images[number]).get_array()
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        np.testing.assert_allclose(
            shown_points(axes), on_pixels(points[number, [1, 3, 4]], shape), rtol=1e-6
        )
    curve, by_class, by_cluster = [ax for ax in saved[0].axes if ax not in pictures]
    assert curve.lines[0].get_ydata().tolist() == [3, 1.5]
    assert by_class.collections[0].get_offsets()[:, 0].tolist() == [1, 3, 5, 7, 9, 11]
    assert by_cluster.get_title() == "by spectral cluster\nARI 0.50 [0.25, 0.75]"
    assert by_cluster.get_xlabel() == "component 1 (40%)"
    # the block of images is as high as the figure, but for the footer
    FigureCanvasAgg(saved[0]).draw()
    boxes = [ax.get_tightbbox().transformed(saved[0].transFigure.inverted()) for ax in pictures]
    assert max(box.y1 for box in boxes) - min(box.y0 for box in boxes) > 0.85
