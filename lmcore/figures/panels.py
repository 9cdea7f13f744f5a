"""Panels that show images: each draws on the axes that it is given."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from lmcore.figures.style import INK, TINY, landmark_colour
from lmcore.points.geometry import normalised_to_index

SEGMENTATION, MASK = "#E69F00", "#56B4E9"  # of outlines; a mask's is dashed besides
ONLY_TARGET, ONLY_MOVED, IN_BOTH = "#009E73", "#D55E00", "#F0E442"
RING = [withStroke(linewidth=1.6, foreground=INK)]  # white shows on dark, its rim on light
ROOM = 320.0  # square points of a panel for each landmark below which numbers would collide


def show_image(
    axes: Axes, image: np.ndarray, limits: tuple[float, float] | None = None
) -> AxesImage:
    """An image (H, W) or (C, H, W) in grey, or in colour where C is 3; centres at whole numbers.

    Arguments:
        limits: what is black and what is white; without, the 0.5th and the 99.5th percentile
            of this image.
    """
    image = np.asarray(image, dtype=float)
    if image.ndim == 3:
        image = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0)
    shown = _stretched(image, limits or grey_limits(image))
    return _frame(axes, axes.imshow(shown, cmap="gray", vmin=0, vmax=1))


def grey_limits(image: np.ndarray) -> tuple[float, float]:
    """The 0.5th and the 99.5th percentile."""
    low, high = np.percentile(image, [0.5, 99.5])
    return float(low), float(high)


def show_difference(axes: Axes, first: np.ndarray, second: np.ndarray, limit: float) -> AxesImage:
    """|first - second|, both (H, W), from 0 to `limit`."""
    difference = np.abs(np.asarray(first, dtype=float) - second)
    return _frame(axes, axes.imshow(difference, cmap="magma", vmin=0, vmax=limit))


def show_overlay(
    axes: Axes,
    target: np.ndarray,
    registered: np.ndarray,
    limits: tuple[float, float] | None = None,
) -> AxesImage:
    """Registered image in red over the target in green, both (H, W); yellow where they agree."""
    both = np.stack([registered, target]).astype(float)
    red, green = _stretched(both, limits or grey_limits(both))
    return _frame(axes, axes.imshow(np.stack([red, green, np.zeros_like(red)], axis=-1)))


def show_overlap(
    axes: Axes,
    image: np.ndarray,
    target: np.ndarray,
    moved: np.ndarray,
    limits: tuple[float, float] | None = None,
) -> AxesImage:
    """Two segmentations over a grey image: only one, only the other, both (Figs. 4, 7, 9).

    The paper's red and green, in shades that colour-blind readers tell apart; in print
    without colours, both is the lightest.

    Arguments:
        image: (H, W) grey. target, moved: (H, W), inside from 0.5 on.
    """
    grey = 0.6 * _stretched(np.asarray(image, dtype=float), limits or grey_limits(image))
    shown = np.repeat(grey[..., None], 3, axis=-1)
    inside_target, inside_moved = target >= 0.5, moved >= 0.5
    for area, colour in (
        (inside_target & ~inside_moved, ONLY_TARGET),
        (inside_moved & ~inside_target, ONLY_MOVED),
        (inside_target & inside_moved, IN_BOTH),
    ):
        shown[area] = 0.2 * shown[area] + 0.8 * np.array(to_rgb(colour))
    return _frame(axes, axes.imshow(shown))


def draw_outline(
    axes: Axes, area: np.ndarray, colour: str = SEGMENTATION, linestyle: str = "-"
) -> None:
    """The line at 0.5 around an area (H, W) in [0, 1], closed along the image's edge."""
    padded = np.pad(np.asarray(area, dtype=float), 1)
    if (padded >= 0.5).any():
        across, down = (np.arange(size) - 1 for size in padded.shape[::-1])
        axes.contour(
            across, down, padded, levels=[0.5], colors=[colour], linewidths=0.7,
            linestyles=[linestyle], zorder=2,
        )  # fmt: skip


def draw_landmarks(
    axes: Axes,
    points: np.ndarray,
    numbers: Sequence[int],
    shape: tuple[int, int],
    extent: float = 150.0,
) -> None:
    """Numbered dots on an image, a landmark's colour the same everywhere.

    Arguments:
        points: (M, 2) normalised (x, y).
        numbers: (M,) landmark numbers; written where the panel has room for them.
        shape: (H, W) of the image.
        extent: about how long the longer side of the panel is on paper, in points.
    """
    index = normalised_to_index(np.asarray(points, dtype=float), shape)
    colours = [landmark_colour(number) for number in numbers]
    dot = 12.0 if extent > 100 else 8.0
    axes.scatter(
        *index.T, s=dot, c=colours, edgecolors="white", linewidths=0.6, zorder=3, clip_on=False
    )
    write_numbers(axes, index, numbers, shape, extent)


def write_numbers(
    axes: Axes, index: np.ndarray, numbers: Sequence[int], shape: tuple[int, int], extent: float
) -> None:
    """The numbers of landmarks beside their dots, if the panel has room for them.

    Arguments:
        index: (M, 2) columns and rows of an image of `shape`; `extent` as for the dots.
    """
    scale = extent / max(shape)
    size = np.array(shape[::-1]) * scale
    if size.prod() < ROOM * len(numbers):
        return
    seen = index.copy()  # to the right and down, whichever way the axes run
    if axes.xaxis_inverted():
        seen[:, 0] = shape[1] - 1 - index[:, 0]
    if not axes.yaxis_inverted():
        seen[:, 1] = shape[0] - 1 - index[:, 1]
    digits = np.array([len(str(number)) for number in numbers])
    offsets = label_offsets(seen * scale, size, 3.8 + 1.4 * digits)
    for number, position, offset in zip(numbers, index, offsets, strict=True):
        text = axes.annotate(
            str(number), position, offset * (1, -1), textcoords="offset points", fontsize=TINY,
            ha="center", va="center", color="white", fontweight="bold", zorder=4,
        )  # fmt: skip
        rim = withStroke(linewidth=1.2, foreground=_darker(landmark_colour(number)))
        text.set_path_effects([rim])
        text.set_in_layout(False)


def draw_removed(axes: Axes, points: np.ndarray, shape: tuple[int, int]) -> None:
    """Small rings for landmarks that redundancy removal dropped; (M, 2) normalised."""
    index = normalised_to_index(np.asarray(points, dtype=float), shape)
    axes.scatter(
        *index.T, s=6, facecolors="none", edgecolors="white", linewidths=0.6, zorder=2,
        path_effects=RING,
    )  # fmt: skip


def draw_deformation(axes: Axes, grid_points: np.ndarray, lines: int = 16) -> None:
    """The target's grid as T lays it over the source.

    Arguments:
        grid_points: (H, W, 2) normalised source coordinates T(x) at every target pixel.
        lines: how many grid lines along the longer side.
    """
    shape = grid_points.shape[:2]
    index = normalised_to_index(grid_points.astype(float), shape)
    step = max(max(shape) / lines, 1)
    rows, columns = (_regular(size, step) for size in shape)
    segments = [index[row] for row in rows] + [index[:, column] for column in columns]
    axes.add_collection(
        LineCollection(segments, colors="#56B4E9", linewidths=0.5, zorder=2), autolim=False
    )


def label_offsets(points: np.ndarray, size: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Where to write the number of each landmark so that few numbers overlap.

    Each takes, in turn, the least crowded of 16 places around its dot.

    Arguments:
        points: (M, 2) dots, y down, in points of 1/72 inch.
        size: (2,) width and height of the panel, same unit.
        reach: (M,) from the dot to the middle of a number beside it; above and below it is 5.
    Returns:
        (M, 2) offsets from the dots, y down.
    """
    angles = np.arange(16) * np.pi / 8
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    taken, offsets = list(points), np.zeros_like(points)
    for number, point in enumerate(points):
        around = circle * (reach[number], 5.0)
        places = point + around
        others = np.array([other for k, other in enumerate(taken) if k != number]).reshape(-1, 2)
        squared = ((places[:, None] - others[None]) ** 2).sum(axis=-1)
        crowded = np.exp(-squared / 25).sum(axis=1)
        outside = ((places < 2) | (places > size - 2)).any(axis=1)
        best = int(np.argmin(np.round(crowded + 10.0 * outside, 6)))
        offsets[number] = around[best]
        taken.append(places[best])
    return offsets


def _regular(size: int, step: float) -> np.ndarray:
    """Whole numbers about `step` apart, the first and last pixel among them."""
    return np.unique(np.linspace(0, size - 1, max(round(size / step), 1) + 1).round().astype(int))


def _stretched(image: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1)


def _frame(axes: Axes, shown: AxesImage) -> AxesImage:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.autoscale(False)  # what is drawn on the image leaves its edges where they are
    for spine in axes.spines.values():
        spine.set_visible(False)
    return shown


def _darker(colour: str) -> tuple[float, ...]:
    return tuple(0.45 * int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
