"""Two mean shapes: how far they lie apart, where that is more than chance, and Fig. 8."""

from collections.abc import Iterable, Sequence

import h5py
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import FigureBase

from lmcore.analysis.numbers import read_numbers
from lmcore.figures import style
from lmcore.figures.rendering import Surface, View, render, view_from
from lmcore.figures.slices import RAS
from lmcore.figures.style import COLOURS, DOUBLE, DPI, INK, SMALL, TINY, Path, saved_figure
from lmcore.figures.surfaces import ANTERIOR, POSTERIOR, SUPERIOR, draw_directions, render_spheres

# towards the head-neck junction, in x (right), y (anterior), z (superior)
ANTEROSUPERIOR = (0.0, 0.75, 0.66)
VIEWS = {
    "antero-superior": ANTEROSUPERIOR,
    "anterior": ANTERIOR,
    "superior": SUPERIOR,
    "posterior": POSTERIOR,
}
SHADES = "RdBu"  # negative, outward, is red
SAME = (0.82, 0.82, 0.82)  # where chance explains a difference
LEVEL = 0.05  # of the false discovery rate
PANEL, HISTOGRAM = 1.85, 1.75  # inches: height of a row of views, and of the histograms
BINS = 18


class MeanShapes:
    """The content of analysis/mean_shapes.h5.

    Attributes:
        arrays: by name, see `lmcore.analysis.mean_shape_files`.
        control, case: names of the groups; oriented: whether directions are known.
    """

    def __init__(self, path: Path):
        with h5py.File(path, "r", locking=False) as file:
            self.arrays = {name: values[:] for name, values in file.items()}
            self.control, self.case = file.attrs["control"], file.attrs["case"]
            self.oriented = bool(file.attrs["oriented"])

    @property
    def surface(self) -> Surface | None:
        """Of the controls' mean; None where points were given and no segmentations."""
        if "faces" not in self.arrays:
            return None
        return Surface(self.arrays["vertices"], self.arrays["faces"])

    def limit(self) -> float:
        """Of the colours, mm: nearly the largest distance, cut planes aside."""
        counted = np.abs(self.arrays["distance"][self.arrays["counted"]])
        return max(float(np.percentile(counted, 99.8)), 1e-6)

    def shades(self, name: str) -> np.ndarray:
        """(V, 3) colours of `distance` or `difference`; grey at planes of cut."""
        limit = self.limit()
        colours = ScalarMappable(Normalize(-limit, limit), SHADES).to_rgba(self.arrays[name])
        return np.where(self.arrays["counted"][:, None], colours[:, :3], SAME)

    def draw(
        self, axes: Axes, direction: Sequence[float], shades: np.ndarray, inches: float
    ) -> View:
        """The controls' mean in these colours (V, 3), seen from `direction`."""
        vertices, surface = self.arrays["vertices"], self.surface
        view = view_from(direction, vertices, max(int(inches * DPI), 2))
        if surface is None:
            picture = render_spheres(view, vertices, shades)
        else:
            picture, _ = render(view, surface, shades)
        axes.imshow(picture)
        axes.set_axis_off()
        if surface is not None and "bump" in self.arrays:
            draw_rim(axes, view, surface, self.arrays["bump"])
        drawn = view.project(vertices)[:, :2]
        draw_directions(axes, view, RAS if self.oriented else None, drawn)
        return view


def plot_mean_shapes(
    content: Path, table: Path, numbers: Path, outputs: Iterable[Path], origin: str
) -> None:
    """Distance of the mean shapes, where it is more than chance, and who lies far from controls.

    Arguments:
        content, table, numbers: analysis/mean_shapes.h5, .csv and .numbers.csv.
    """
    means = MeanShapes(content)
    different = (means.arrays["corrected_p"] < LEVEL)[:, None]
    rows = {
        distance_title(means): means.shades("distance"),
        test_title(means): np.where(different, means.shades("difference"), SAME),
    }
    heights = [PANEL + 0.3, PANEL + 0.3, HISTOGRAM + 0.35]
    with saved_figure(outputs, DOUBLE, sum(heights) + 0.15, origin) as figure:
        *parts, below = figure.subfigures(3, 1, height_ratios=heights)
        for part, (title, shades) in zip(parts, rows.items(), strict=True):
            part.suptitle(title, fontsize=SMALL, x=0.01, ha="left")
            axes = part.subplots(1, len(VIEWS))
            draw_views(axes, means, shades, (DOUBLE - 0.6) / len(VIEWS))
            draw_bar(part, axes, means)
        draw_histograms(below.subplots(1, 2), table, read_numbers(numbers), means)


def figure_8(
    content: Path, table: Path, numbers: Path, outputs: Iterable[Path], origin: str
) -> None:
    """Distance on the normal mean; log Mahalanobis distances, the paper's and honest ones (Fig. 8).

    Arguments:
        content, table, numbers: analysis/mean_shapes.h5, .csv and .numbers.csv.
    """
    means = MeanShapes(content)
    wide = 4.3
    with saved_figure(outputs, DOUBLE, 4.6, origin) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(wide, DOUBLE - wide))
        axes = left.subplots(2, 2)
        draw_views(axes.ravel(), means, means.shades("distance"), wide / 2)
        left.suptitle(distance_title(means), fontsize=SMALL)
        draw_bar(left, axes, means)
        draw_histograms(right.subplots(2, 1), table, read_numbers(numbers), means)


def distance_title(means: MeanShapes) -> str:
    """What the colours of the distance are, in words."""
    case, control = (style.shortened(name, 20) for name in (means.case, means.control))
    if means.surface is None:
        return f"difference of the mean {case} from the mean {control}, along its normals"
    truth = "; black: rim of the true bump" if "bump" in means.arrays else ""
    return f"distance from the mean {case} to the mean {control}, drawn on the latter{truth}"


def test_title(means: MeanShapes) -> str:
    """What the test at each vertex found, in words."""
    counted, p_values = means.arrays["counted"], means.arrays["corrected_p"]
    smallest = p_values[counted].min()
    what = "points" if means.surface is None else "the landmarks' spline at the surface"
    found = "nowhere" if smallest >= LEVEL else "where coloured"
    return (
        f"difference of {what} by subject: more than chance {found} "
        f"(permutations, false discovery rate {LEVEL:g}; smallest corrected p {smallest:.2g})"
    )


def draw_views(axes: Sequence[Axes], means: MeanShapes, shades: np.ndarray, inches: float) -> None:
    """The controls' mean from all VIEWS; without orientation these are directions of the grid."""
    for ax, (name, direction) in zip(axes, VIEWS.items(), strict=True):
        means.draw(ax, direction, shades, inches)
        if means.oriented:
            ax.set_title(name, fontsize=TINY, pad=1)


def draw_bar(figure: FigureBase, axes: np.ndarray, means: MeanShapes) -> None:
    """The scale of the distances beside the views."""
    limit = means.limit()
    shades = ScalarMappable(Normalize(-limit, limit), SHADES)
    bar = figure.colorbar(shades, ax=axes, location="right", shrink=0.75, aspect=22, pad=0.01)
    bar.set_label(f"mm, negative: {style.shortened(means.case, 12)} outward", fontsize=TINY)
    bar.ax.tick_params(labelsize=TINY)
    bar.outline.set_visible(False)


def draw_rim(axes: Axes, view: View, surface: Surface, region: np.ndarray) -> None:
    """The line around a region (V,) of a surface, where the surface faces the viewer."""
    faces = surface.faces
    inside = np.asarray(region, dtype=bool)[faces]
    crossed = faces[inside.any(axis=1) & ~inside.all(axis=1)]
    seen = view.project(surface.vertices)
    first, second, third = (seen[crossed[:, k], :2] for k in range(3))
    # rows run down: towards the viewer a triangle turns clockwise on the screen
    along, beside = second - first, third - first
    turn = along[:, 0] * beside[:, 1] - along[:, 1] * beside[:, 0]
    facing = turn * np.sign(_volume(surface)) < 0
    segments = [_rim_of(seen[face, :2], region[face]) for face in crossed[facing]]
    axes.add_collection(LineCollection(segments, colors=INK, linewidths=0.8), autolim=False)


def _rim_of(corners: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(2, 2) the middles of the two edges of a triangle that leave the region."""
    pairs = [(a, b) for a, b in ((0, 1), (1, 2), (2, 0)) if inside[a] != inside[b]]
    return np.array([(corners[a] + corners[b]) / 2 for a, b in pairs])


def _volume(surface: Surface) -> float:
    """Positive where triangles turn counterclockwise seen from outside."""
    first, second, third = (surface.vertices[surface.faces[:, k]] for k in range(3))
    return float(np.einsum("fd,fd->", first, np.cross(second, third)))


def draw_histograms(
    axes: Sequence[Axes], table: Path, numbers: pd.DataFrame, means: MeanShapes
) -> None:
    """The paper's distances, labelled for what they are, and those that leave controls out."""
    scores = pd.read_csv(table, dtype={"subject": str, "group": str}, keep_default_na=False)
    values = numbers.set_index("name")
    controls = int((scores["group"] == means.control).sum())
    modes = int(values.loc["mahalanobis_modes_in_sample", "value"])
    paper, honest = axes
    draw_log_distances(paper, scores, "mahalanobis_in_sample", means)
    degenerate = ""
    if modes == controls - 1:
        degenerate = f"\ndegenerate: the {controls} controls of the fit agree by construction"
    paper.set_title(
        f"the paper's: 100 % of the variance, {modes} modes of {controls} controls{degenerate}",
        fontsize=TINY,
    )
    draw_log_distances(honest, scores, "mahalanobis", means)
    found = values.loc["mahalanobis_auc"]
    p = values.loc["mahalanobis_auc_p", "value"]
    said = f"p = {p:.2g}" if p >= 1e-3 else "p < 0.001"
    honest.set_title(
        "each control left out of its fit, covariance shrunk\n"
        f"AUC {found['value']:.2f} [{found['ci_low']:.2f}, {found['ci_high']:.2f}], {said}",
        fontsize=TINY,
    )


def draw_log_distances(axes: Axes, table: pd.DataFrame, column: str, means: MeanShapes) -> None:
    """Histogram of the logarithm of a column by group, and a tick for each case.

    Arguments:
        table: group, and the column.
    """
    logarithm = np.log(np.maximum(table[column].to_numpy(dtype=float), 1e-12))
    low, high = logarithm.min(), logarithm.max()
    room = max(0.02 * (high - low), 1e-3)  # values that agree get a bin of their own
    edges = np.linspace(low - room, high + room, BINS + 1)
    for name, colour in zip((means.control, means.case), COLOURS, strict=False):
        own = logarithm[(table["group"] == name).to_numpy()]
        label = f"{style.shortened(name, 20)}, n = {len(own)}"
        axes.hist(own, edges, color=colour, alpha=0.6, label=label)
        if name == means.case:
            sns.rugplot(x=own, ax=axes, color=colour, height=0.05)
    axes.set_xlabel("ln Mahalanobis distance from the controls")
    axes.set_ylabel("subjects")
    axes.legend()
