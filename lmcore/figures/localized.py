"""The localized experiment: its mask (Fig. 6), and a case registered inside it (Fig. 7)."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from scipy.ndimage import map_coordinates

from lmcore.errors import InputError
from lmcore.figures import panels, slices, style
from lmcore.figures.layouts import label_of
from lmcore.figures.mean_shapes import ANTEROSUPERIOR, MeanShapes
from lmcore.figures.pairs import (
    SIDES,
    difference_limit,
    draw_landmarks_in_3d,
    overlap_keys,
    read_volume_pairs,
    side_of,
)
from lmcore.figures.panels import MASK, draw_outline, grey_limits
from lmcore.figures.slices import PLANES, Plane, slice_of
from lmcore.figures.style import DOUBLE, SMALL, TINY, Path, saved_figure
from lmcore.figures.surfaces import BONE, show_surface, surface_of
from lmcore.figures.volume_registration import (
    draw_foot,
    draw_volume_pair,
    landmark_keys,
)
from lmcore.figures.volumes import SubjectVolume
from lmcore.population.splits import read_splits
from lmcore.population.store import Population

BUMP = "#D55E00"
MARGIN = 2  # voxels around the region in a close-up
FOOT = 0.62  # inches: legend and colour bar
CLOSE_UPS = ("source", "registered")  # over the target


def figure_6(population: Path, content: Path, outputs: Iterable[Path], origin: str) -> None:
    """Where the pathology lies, and the mask on the median control (Fig. 6).

    In place of the paper's schematic the controls' mean is shown with the true bump of a
    simulated population, else with the distance of the cases' mean.

    Arguments:
        population: population.h5; content: analysis/mean_shapes.h5.
    Raises:
        InputError: for a population without a mask or a segmented typical control.
    """
    means = MeanShapes(content)
    with Population(population) as store:
        if store.mask is None or store.medoid is None:
            raise InputError(
                f"{population}: figure 6 shows the mask on the median control: give "
                "preprocess.region and population.control"
            )
        row = store.subjects.index(store.medoid)
        volume, spacing = SubjectVolume(store, row), store.spacing
    if volume.segmentation is None:
        raise InputError(
            f"subject {volume.subject}: figure 6 shows the surface of the median control: give "
            "its segmentation"
        )
    widths = [plane.size(volume.image.shape)[1] for plane in PLANES]
    high = max(plane.size(volume.image.shape)[0] for plane in PLANES)
    below = (DOUBLE - 0.7) * high / sum(widths) + 0.35
    footer = style.footer_of(slices.convention(volume.affine is not None), origin)
    above = 2.7
    with saved_figure(outputs, DOUBLE, above + below + 0.15, footer) as figure:
        top, bottom = figure.subfigures(2, 1, height_ratios=(above, below))
        left, right = top.subfigures(1, 2)
        _draw_pathology(left, means, above - 0.3)
        shade = _draw_mask_on_surface(right, volume, spacing, above - 0.3)
        axes = bottom.subplots(1, 3, width_ratios=widths)
        _draw_mask_on_slices(axes, volume)
        bar = bottom.colorbar(shade, ax=axes.tolist(), shrink=0.7, aspect=16, pad=0.01)
        bar.set_label("mask", fontsize=TINY)
        bar.ax.tick_params(labelsize=TINY)
        bar.outline.set_visible(False)


def figure_7(
    population: Path,
    examples: Path,
    subjects: Path,
    class_column: str,
    outputs: Iterable[Path],
    origin: str,
) -> None:
    """A case registered to a control: landmarks in 3D, slices, and a close-up (Fig. 7).

    Arguments:
        population: population.h5, of its mask.
        examples: HDF5 as `register_groups` writes it, whose last pair is shown.
        subjects: subjects.csv; class_column: its column with the groups.
    """
    pair = read_volume_pairs(examples, "figure 7")[-1]
    if "registered_segmentation" not in pair:
        raise InputError(f"{examples}: figure 7 needs segmentations of a case and a control")
    with Population(population) as store:
        mask = store.mask
    table, oriented = read_splits(subjects), bool(pair["oriented"])
    shape = pair["source"].shape
    widest = max(plane.size(shape)[1] for plane in PLANES)
    high = sum(plane.size(shape)[0] for plane in PLANES)
    panel = (DOUBLE - 0.3) / 7
    heights = [2.3, panel * high / widest + 0.3, 1.5, FOOT]
    footer = style.footer_of(slices.convention(oriented), origin)
    with saved_figure(outputs, DOUBLE, sum(heights) + 0.15, footer) as figure:
        top, middle, below, foot = figure.subfigures(4, 1, height_ratios=heights)
        for axes, side in zip(top.subplots(1, 2), SIDES, strict=True):
            subject = side_of(pair, side)
            draw_landmarks_in_3d(axes, subject, heights[0] - 0.2, ANTEROSUPERIOR)
            group = style.shortened(label_of(table, subject["subject"], class_column), 20)
            name = style.shortened(subject["subject"], 30)
            axes.set_title(f"{side}: {group} {name}", fontsize=SMALL)
        scale = draw_volume_pair(middle.subplots(3, 7, height_ratios=_rows(shape)), pair,
                                 difference_limit([pair]), panel / widest)  # fmt: skip
        _draw_close_ups(below, pair, mask)
        keys = landmark_keys(pair["retained"]) + overlap_keys(segmented=True)
        if mask is not None:
            keys.append(Line2D([], [], color=MASK, linestyle="--", label="mask"))
        draw_foot(foot, scale, keys)


def _draw_pathology(figure: FigureBase, means: MeanShapes, inches: float) -> None:
    axes = figure.subplots()
    if "bump" in means.arrays:
        shades = np.where(means.arrays["bump"][:, None], to_rgb(BUMP), to_rgb(BONE))
        title = f"the true bump of {style.shortened(means.case, 20)}, on the mean control"
    else:
        shades = means.shades("distance")
        title = f"where the mean {style.shortened(means.case, 20)} lies outward (red) or inward"
    means.draw(axes, ANTEROSUPERIOR, shades, inches)
    axes.set_title(title, fontsize=SMALL)


def _draw_mask_on_surface(
    figure: FigureBase, volume: SubjectVolume, spacing: float, inches: float
) -> ScalarMappable:
    """The median control's surface, blue where the mask weighs; returns the scale."""
    colours = LinearSegmentedColormap.from_list("mask", [to_rgb(BONE), to_rgb("#0072B2")])
    scale = ScalarMappable(Normalize(0, 1), colours)
    surface = surface_of(volume.segmentation, spacing)
    weight = map_coordinates(volume.mask, (surface.vertices / spacing).T[::-1], order=1)
    axes = figure.subplots()
    show_surface(
        axes, surface, inches, direction=ANTEROSUPERIOR, colours=scale.to_rgba(weight)[:, :3],
        affine=volume.affine,
    )  # fmt: skip
    axes.set_title(f"mask on the median control {volume.title('', 2.2)}", fontsize=SMALL)
    return scale


def _draw_mask_on_slices(axes: Sequence[Axes], volume: SubjectVolume) -> None:
    """Slices through the middle of what of the structure is in the mask."""
    volume.voxel = slices.centre_voxel(volume.image.shape, _region(volume.mask, volume))
    volume.draw_slices(axes)
    tint = to_rgb("#0072B2")
    for ax, plane in zip(axes, PLANES, strict=True):
        weight = slice_of(volume.mask, plane, volume.voxel)
        veil = np.concatenate([np.broadcast_to(tint, (*weight.shape, 3)), 0.4 * weight[..., None]],
                              axis=-1)  # fmt: skip
        ax.imshow(veil)
        ax.set_title(plane.title(volume.affine is not None), fontsize=TINY, pad=2)


def _region(mask: np.ndarray, volume: SubjectVolume) -> np.ndarray:
    inside = mask >= 0.5
    both = inside & (volume.segmentation > 0)
    return both if both.any() else inside


def _draw_close_ups(figure: FigureBase, pair: Mapping, mask: np.ndarray | None) -> None:
    """Target and (registered) source in the region, three planes before and after."""
    shape = pair["target"].shape
    inside = np.ones(shape, bool) if mask is None else mask >= 0.5
    both = inside & (pair["target_segmentation"] >= 0.5)
    voxel = slices.centre_voxel(shape, both if both.any() else inside)
    windows = [_window(inside, plane) for plane in PLANES]
    widths = [columns[1] - columns[0] for columns, _ in windows]
    axes = figure.subplots(1, 2 * len(PLANES), width_ratios=widths * 2)
    limits = grey_limits(pair["target"])
    for start, name in zip((0, len(PLANES)), CLOSE_UPS, strict=True):
        for ax, plane, window in zip(axes[start:], PLANES, windows, strict=False):
            cut = [
                slice_of(volume, plane, voxel)
                for volume in (pair["target"], pair["target_segmentation"])
            ]
            moved = slice_of(pair[f"{name}_segmentation"], plane, voxel)
            slices.show_as_hung(ax, panels.show_overlap, *cut, moved, limits=limits)
            if mask is not None:
                draw_outline(ax, slice_of(mask, plane, voxel), MASK, "--")
            _zoom(ax, window)
            when = "before" if name == "source" else "after"
            ax.set_title(f"{when}, {plane.title(bool(pair['oriented']))}", fontsize=TINY, pad=2)
    figure.suptitle("close-up of the region", fontsize=SMALL)


def _window(inside: np.ndarray, plane: Plane) -> tuple[tuple[float, float], ...]:
    """First and last column, and row, of a region with a margin, in a slicing plane."""
    ends = []
    for axis in (plane.across, plane.up):
        others = tuple(other for other in range(3) if other != 2 - axis)
        where = np.flatnonzero(inside.any(axis=others))
        last = inside.shape[2 - axis] - 0.5
        ends.append((max(where[0] - MARGIN, -0.5), min(where[-1] + MARGIN, last)))
    return tuple(ends)


def _zoom(axes: Axes, window: tuple[tuple[float, float], ...]) -> None:
    """Show a part of a slice, hung as it was."""
    (left, right), (first, last) = window
    axes.set_xlim((right, left) if axes.xaxis_inverted() else (left, right))
    axes.set_ylim((last, first) if axes.yaxis_inverted() else (first, last))


def _rows(shape: Sequence[int]) -> list[int]:
    return [plane.size(shape)[0] for plane in PLANES]
