"""The paper's Fig. 4: one case registered to a case and to a control."""

from collections.abc import Iterable, Mapping

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from lmcore.errors import InputError
from lmcore.figures import panels, slices, style
from lmcore.figures.layouts import FOOTER, highest_of, label_of, widths_of
from lmcore.figures.panels import draw_outline, grey_limits
from lmcore.figures.slices import PLANES, show_as_hung, slice_of
from lmcore.figures.style import DOUBLE, SMALL, TINY, Path, saved_figure
from lmcore.figures.surfaces import show_surface, surface_of
from lmcore.points.geometry import normalised_to_index
from lmcore.population.splits import read_splits

TITLE = 0.26  # inches above the landmarks and above the overlaps
KEYS = {
    "target and registered source": panels.IN_BOTH,
    "target alone": panels.ONLY_TARGET,
    "registered source alone": panels.ONLY_MOVED,
}


def figure_4(
    examples: Path, subjects: Path, class_column: str, outputs: Iterable[Path], origin: str
) -> None:
    """Landmarks in 3D and on mid slices of source and targets; registered over target (Fig. 4).

    Arguments:
        examples: HDF5 of two pairs with the same source, as `register_groups` writes it.
        subjects: subjects.csv; class_column: its column with the groups.
    Raises:
        InputError: if the examples are not volumes.
    """
    with h5py.File(examples, "r", locking=False) as file:
        pairs = {name: file[name][()] for name in file}
    if pairs["source"].ndim != 4:
        raise InputError(f"{examples}: figure 4 shows volumes, these are images")
    table = read_splits(subjects)
    shape = pairs["source"].shape[1:]
    column = DOUBLE / 3
    strip = (column - 0.25) * highest_of(shape) / sum(widths_of(shape))
    top, bottom = TITLE + 0.85 * column + strip, 2 * TITLE + strip
    oriented = bool(pairs["oriented"].all())
    footer = style.footer_of(slices.convention(oriented), origin)
    with saved_figure(outputs, DOUBLE, top + bottom + FOOTER, footer) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=(top, bottom))
        shown = (("source", 0), ("target", 0), ("target", 1))
        titles = ("source", "target A", "target B")
        for part, (side, pair), title in zip(upper.subfigures(1, 3), shown, titles, strict=True):
            subject = pairs[f"{side}_subjects"][pair].decode()
            group = style.shortened(label_of(table, subject, class_column), 14)
            label = f"{title}: {group}\n{style.shortened(subject, 34)}"
            part.suptitle(label, fontsize=SMALL)
            _draw_landmarks(part, _subject(pairs, side, pair), column, strip)
        legend, *overlaps = lower.subfigures(1, 3)
        _draw_keys(legend, "registered_segmentation" in pairs)
        for pair, (part, letter) in enumerate(zip(overlaps, "AB", strict=True)):
            part.suptitle(f"registered to {letter}{measures_text(pairs, pair)}", fontsize=SMALL)
            _draw_overlaps(part.subplots(1, 3, width_ratios=widths_of(shape)), pairs, pair)


def measures_text(pairs: Mapping[str, np.ndarray], pair: int) -> str:
    """Dice and HD95 of a pair before and after registration, where they were measured."""
    if "dice_after" not in pairs:
        return ""
    dice, hd95 = (
        [pairs[f"{name}_{when}"][pair] for when in ("before", "after")] for name in ("dice", "hd95")
    )
    return f"\nDice {dice[0]:.3f} → {dice[1]:.3f}, HD95 {hd95[0]:.1f} → {hd95[1]:.1f} mm"


def _subject(pairs: Mapping, side: str, pair: int) -> dict:
    """One subject of a pair; `affine` None where its orientation is unknown."""
    kept = np.asarray(pairs["retained"], dtype=bool)
    area = pairs.get(f"{side}_segmentation")
    affine = pairs["affine"][pair][("source", "target").index(side)]
    return {
        "image": pairs[side][pair],
        "segmentation": None if area is None else area[pair],
        "points": pairs[f"{side}_points"][pair][kept],
        "numbers": np.asarray(pairs["numbers"])[kept],
        "affine": affine if pairs["oriented"].all() else None,
        "spacing": float(pairs["spacing"]),
    }


def _draw_landmarks(part: FigureBase, subject: Mapping, column: float, strip: float) -> None:
    """The surface with landmarks above, three slices below."""
    image, area = subject["image"], subject["segmentation"]
    above, below = part.subfigures(2, 1, height_ratios=(0.85 * column, strip))
    axes = above.subplots()
    if area is None:
        style.hide_axes([axes])
        axes.text(0.5, 0.5, "no segmentation", ha="center", va="center", fontsize=TINY)
    else:
        show_surface(
            axes,
            surface_of(area, subject["spacing"]),
            0.85 * column,
            normalised_to_index(subject["points"], image.shape) * subject["spacing"],
            subject["numbers"],
            affine=subject["affine"],
        )
    voxel = slices.centre_voxel(image.shape, area)
    limits = grey_limits(image)
    row = below.subplots(1, 3, width_ratios=widths_of(image.shape))
    for ax, plane in zip(row, PLANES, strict=True):
        slices.show_slice(ax, image, plane, voxel, limits)
        if area is not None:
            draw_outline(ax, slice_of(area, plane, voxel))
        slices.draw_slice_landmarks(
            ax, subject["points"], subject["numbers"], image.shape, plane, voxel,
            extent=72 * column / 3, distant=True,
        )  # fmt: skip
        slices.write_letters(ax, plane, subject["affine"])


def _draw_overlaps(axes: Iterable[Axes], pairs: Mapping, pair: int) -> None:
    """Registered over target through the target's centre; images where nobody is segmented."""
    image, registered = pairs["target"][pair], pairs["registered"][pair]
    target, moved = (
        pairs[f"{name}_segmentation"][pair] if f"{name}_segmentation" in pairs else None
        for name in ("target", "registered")
    )
    voxel, limits = slices.centre_voxel(image.shape, target), grey_limits(image)
    for ax, plane in zip(axes, PLANES, strict=True):
        background = slice_of(image, plane, voxel)
        if moved is None:
            over = slice_of(registered, plane, voxel)
            show_as_hung(ax, panels.show_overlay, background, over, limits=limits)
            continue
        cuts = (slice_of(area, plane, voxel) for area in (target, moved))
        show_as_hung(ax, panels.show_overlap, background, *cuts, limits=limits)


def _draw_keys(part: FigureBase, segmented: bool) -> None:
    """What colours and dots mean."""
    dot = {"linestyle": "", "marker": "o", "color": style.COLOURS[0]}
    square = {"linestyle": "", "marker": "s", "markersize": 4}
    keys = [
        Line2D([], [], markersize=3.5, label="landmark near the slice", **dot),
        Line2D([], [], markersize=1.6, label="landmark elsewhere, projected", **dot),
    ]
    if segmented:
        keys.append(Line2D([], [], color=panels.SEGMENTATION, label="segmentation"))
        keys += [Line2D([], [], color=c, label=name, **square) for name, c in KEYS.items()]
    else:
        keys += [
            Line2D([], [], color="#00c000", label="target", **square),
            Line2D([], [], color="#e00000", label="registered source", **square),
        ]
    part.legend(handles=keys, loc="center", fontsize=SMALL)
