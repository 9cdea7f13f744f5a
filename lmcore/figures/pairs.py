"""A registered pair of volumes: landmarks on both, and the source over the target (Figs. 4, 9)."""

from collections.abc import Iterable, Mapping, Sequence

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from lmcore.errors import InputError
from lmcore.figures import panels, slices, style
from lmcore.figures.panels import grey_limits
from lmcore.figures.slices import PLANES, show_as_hung, slice_of
from lmcore.figures.style import SMALL, TINY, Path
from lmcore.figures.surfaces import OBLIQUE, show_surface, surface_of
from lmcore.points.geometry import normalised_to_index

OF_ALL = ("numbers", "retained")  # datasets that have no entry a pair
SIDES = ("source", "target")
OVERLAP = {
    "overlap: both": panels.IN_BOTH,
    "target alone": panels.ONLY_TARGET,
    "(registered) source alone": panels.ONLY_MOVED,
}
OVERLAY = {"overlay: target": "#00c000", "overlay: registered source": "#e00000"}


def read_pairs(path: Path) -> list[dict]:
    """Every pair of an HDF5 file as `register_examples` describes it: a row of each dataset."""
    with h5py.File(path, "r", locking=False) as file:
        content = {name: values[:] for name, values in file.items()}
    return [
        {name: values if name in OF_ALL else values[row] for name, values in content.items()}
        for row in range(len(content["source"]))
    ]


def read_volume_pairs(path: Path, figure: str) -> list[dict]:
    """The same, of volumes.

    Raises:
        InputError: naming the figure, if they are images.
    """
    pairs = read_pairs(path)
    if pairs[0]["source"].ndim != 3:
        raise InputError(f"{path}: {figure} shows volumes, these are images")
    return pairs


def difference_limit(pairs: Sequence[Mapping]) -> float:
    """Nearly the largest difference between source and target, for the colours of them all."""
    return float(np.percentile([np.abs(pair["source"] - pair["target"]) for pair in pairs], 99.5))


def side_of(pair: Mapping, side: str) -> dict:
    """Source or target of a pair with its retained landmarks.

    Returns:
        subject, image and segmentation (z, y, x), the latter None without one; points (M, 3)
        normalised; numbers (M); affine (4, 4), None where the orientation is unknown; spacing, mm.
    """
    kept = np.asarray(pair["retained"], dtype=bool)
    return {
        "subject": pair[f"{side}_subjects"].decode(),
        "image": pair[side],
        "segmentation": pair.get(f"{side}_segmentation"),
        "points": pair[f"{side}_points"][kept],
        "numbers": np.asarray(pair["numbers"])[kept],
        "affine": pair["affine"][SIDES.index(side)] if pair["oriented"] else None,
        "spacing": float(pair["spacing"]),
    }


def measures_text(pair: Mapping) -> str:
    """A line on Dice and HD95 before and after registration, where they were measured."""
    if "dice_after" not in pair:
        return ""
    dice, hd95 = ([pair[f"{name}_{when}"] for when in ("before", "after")]
                  for name in ("dice", "hd95"))  # fmt: skip
    return f"\nDice {dice[0]:.3f} → {dice[1]:.3f}, HD95 {hd95[0]:.1f} → {hd95[1]:.1f} mm"


def draw_landmarks_in_3d(
    axes: Axes, subject: Mapping, inches: float, direction: Sequence[float] = OBLIQUE
) -> None:
    """The surface of a subject of `side_of` with its landmarks, in a panel of `inches`."""
    if subject["segmentation"] is None:
        style.hide_axes([axes])
        axes.text(0.5, 0.5, "no segmentation", ha="center", va="center", fontsize=TINY)
        return
    show_surface(
        axes,
        surface_of(subject["segmentation"], subject["spacing"]),
        inches,
        normalised_to_index(subject["points"], subject["image"].shape) * subject["spacing"],
        subject["numbers"],
        direction,
        affine=subject["affine"],
    )


def draw_overlaps(axes: Iterable[Axes], pair: Mapping, moved: str = "registered") -> None:
    """Registered (or `source`) over target on three slices through the target's centre.

    Segmentations over the target's image, or images where nobody is segmented.
    """
    image, target = pair["target"], pair.get("target_segmentation")
    voxel, limits = slices.centre_voxel(image.shape, target), grey_limits(image)
    for ax, plane in zip(axes, PLANES, strict=True):
        background = slice_of(image, plane, voxel)
        if target is None:
            over = slice_of(pair[moved], plane, voxel)
            show_as_hung(ax, panels.show_overlay, background, over, limits=limits)
            continue
        cuts = (slice_of(area, plane, voxel) for area in (target, pair[f"{moved}_segmentation"]))
        show_as_hung(ax, panels.show_overlap, background, *cuts, limits=limits)


def overlap_keys(segmented: bool) -> list[Line2D]:
    """Legend entries of `panels.show_overlap` and an outline, or else of `panels.show_overlay`."""
    square = {"linestyle": "", "marker": "s", "markersize": 4}
    colours = OVERLAP if segmented else OVERLAY
    keys = [Line2D([], [], color=c, label=name, **square) for name, c in colours.items()]
    outline = Line2D([], [], color=panels.SEGMENTATION, label="segmentation")
    return [outline, *keys] if segmented else keys


def draw_keys(part: FigureBase, keys: list[Line2D]) -> None:
    """A legend that fills a part of the figure."""
    part.legend(handles=keys, loc="center", fontsize=SMALL)
