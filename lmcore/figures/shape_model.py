"""The figure of shape models: their quality against the number of modes, and the first modes."""

from collections.abc import Iterable

import h5py
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import SubFigure

from lmcore.analysis.mean_surfaces import point_normals
from lmcore.figures.layouts import extent_of
from lmcore.figures.panels import draw_landmarks, show_image
from lmcore.figures.rendering import Surface, render, view_from
from lmcore.figures.slices import PLANES, RAS, centre_voxel, show_slice
from lmcore.figures.style import COLOURS, DOUBLE, DPI, FAINT, SMALL, TINY, Path, saved_figure
from lmcore.figures.surfaces import OBLIQUE, draw_directions, render_spheres
from lmcore.particles.table import NAMES
from lmcore.points.geometry import index_to_normalised

MEASURES = ("compactness", "generalization", "specificity")
TITLES = {
    "compactness": "compactness",
    "generalization": "generalization to left-out shapes",
    "specificity": "specificity of random shapes",
}
ENGINES = {"": "landmarks"} | {key: f"particles, {name}" for key, name in NAMES.items()}
SHADES = {"landmarks": COLOURS[0], "particles": COLOURS[1]}
DISPLACEMENT = "RdBu_r"
CURVES, KEYS = 1.75, 0.3  # inches: height of the curves, and of their legend


def plot_shape_model(table: Path, modes: Path, outputs: Iterable[Path], origin: str) -> None:
    """Compactness, generalization and specificity, and mean +- 2 SD along the first modes.

    Arguments:
        table: analysis/shape_model.csv.
        modes: analysis/shape_model.h5.
    """
    curves = pd.read_csv(table, dtype={"points": str, "engine": str}, keep_default_na=False)
    curves = curves.astype({"value": float, "standard_error": float})
    with h5py.File(modes, "r", locking=False) as file:
        sets = {name: {key: part[:] for key, part in file[name].items()} for name in file}
        affine = RAS if file.attrs["oriented"] else None
    rows = [row_height(content) for content in sets.values()]
    with saved_figure(outputs, DOUBLE, CURVES + KEYS + sum(rows), origin) as figure:
        top, *below = figure.subfigures(1 + len(sets), 1, height_ratios=[CURVES + KEYS, *rows])
        _draw_curves(top, curves)
        engines = dict(zip(curves["points"], curves["engine"], strict=True))
        for part, (name, content) in zip(below, sets.items(), strict=True):
            part.suptitle(ENGINES[engines[name]], fontsize=SMALL, x=0.01, ha="left")
            _draw_modes(part, content, affine)


def row_height(content: dict) -> float:
    """Inches of a row of modes: panels as high as their image is, and titles."""
    width = 0.93 * DOUBLE / _columns(content)
    aspect = content["image"].shape[0] / content["image"].shape[1] if _is_flat(content) else 1.0
    return width * min(aspect, 1.6) + 0.45


def _draw_curves(figure: SubFigure, table: pd.DataFrame) -> None:
    panels = figure.subplots(1, len(MEASURES))
    for axes, name in zip(panels, MEASURES, strict=True):
        for suffix, line in (("", "-"), ("_surface", "--")):
            part = table[table["measure"] == name + suffix]
            for points, curve in part.groupby("points", sort=False):
                _draw_curve(axes, curve, SHADES[points], line)
        units = set(table.loc[table["measure"] == name, "unit"])
        axes.set_title(TITLES[name])
        axes.set_xlabel("modes")
        axes.set_ylabel("share of the variance" if "share" in units else f"distance, {units.pop()}")
        axes.set_ylim(0, 1.04 if name == "compactness" else None)
        axes.xaxis.get_major_locator().set_params(integer=True)
    engines = table.drop_duplicates("points")
    keys = [
        panels[0].plot([], [], color=SHADES[points], label=ENGINES[engine])[0]
        for points, engine in zip(engines["points"], engines["engine"], strict=True)
    ]
    keys.append(panels[0].plot([], [], color=FAINT, label="between points, ± s.e.")[0])
    if table["measure"].str.endswith("_surface").any():
        label = "between surfaces carried by the points"
        keys.append(panels[0].plot([], [], "--", color=FAINT, label=label)[0])
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=TINY)


def _draw_curve(axes: Axes, curve: pd.DataFrame, colour: str, line: str) -> None:
    modes, value = curve["modes"].to_numpy(), curve["value"].to_numpy()
    error = curve["standard_error"].to_numpy()
    axes.fill_between(modes, value - error, value + error, color=colour, alpha=0.2, linewidth=0)
    axes.plot(modes, value, line, color=colour)


def _draw_modes(
    figure: SubFigure, content: dict[str, np.ndarray], affine: np.ndarray | None
) -> None:
    """The mean, then minus and plus two standard deviations along each mode, in a row."""
    panels = figure.subplots(1, _columns(content))
    titles = ["mean"] + [
        f"mode {k + 1}, {sign} 2 SD\n{share:.0%} of variance"
        for k, share in enumerate(content["share"])
        for sign in ("−", "+")
    ]
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=TINY, pad=2)
    if "vertices" in content:
        _draw_surfaces(figure, panels, content, affine)
    else:
        _draw_images(panels, content)


def _draw_surfaces(
    figure: SubFigure, panels: np.ndarray, content: dict, affine: np.ndarray | None
) -> None:
    """Surfaces in one view, coloured by how far they lie outside (red) or inside of the mean.

    Vertices without faces are drawn as spheres.
    """
    mean, moved = content["vertices"], np.concatenate(content["moved"])
    surface = Surface(mean, content["faces"])
    normals = _outward(surface) if len(surface.faces) else point_normals(mean)
    outward = np.einsum("svd,vd->sv", moved - mean, normals)
    limit = max(float(np.percentile(np.abs(outward), 99.5)), 1e-6)
    shades = ScalarMappable(Normalize(-limit, limit), DISPLACEMENT)
    inches = DOUBLE / len(panels)
    view = view_from(OBLIQUE, np.concatenate([mean, *moved]), int(inches * DPI))
    for axes, vertices, height in zip(
        panels, [mean, *moved], [np.zeros(len(mean)), *outward], strict=True
    ):
        shade = shades.to_rgba(height)[:, :3]
        if len(surface.faces):
            picture, _ = render(view, Surface(vertices, surface.faces), shade)
        else:
            picture = render_spheres(view, vertices, shade)
        axes.imshow(picture)
        axes.set_axis_off()
    draw_directions(panels[0], view, affine, view.project(mean)[:, :2])
    bar = figure.colorbar(
        shades, ax=panels.tolist(), location="right", shrink=0.8, aspect=15, pad=0.005
    )
    bar.set_label("outward, mm", fontsize=TINY)
    bar.ax.tick_params(labelsize=TINY)
    bar.outline.set_visible(False)


def _outward(surface: Surface) -> np.ndarray:
    """(V, 3) unit normals away from the inside, whichever way the triangles turn."""
    normals = surface.normals()
    first, second, third = (surface.vertices[surface.faces[:, k]] for k in range(3))
    volume = np.einsum("fd,fd->f", first, np.cross(second, third)).sum()
    return normals if volume >= 0 else -normals


def _draw_images(panels: np.ndarray, content: dict) -> None:
    """Warped mean images, or slices of volumes through z, with the landmarks on images."""
    image = content["image"]
    pictures = [image, *np.concatenate(content["warped"])]
    points = [content["mean"], *np.concatenate(content["points"])]
    limits = tuple(np.percentile(image, [1, 99]))
    inches = DOUBLE / len(panels)
    for axes, picture, landmarks in zip(panels, pictures, points, strict=True):
        if image.ndim == 2:
            show_image(axes, picture)
            places = index_to_normalised(landmarks, picture.shape)
            extent = extent_of(inches, picture.shape)
            draw_landmarks(axes, places, content["numbers"], picture.shape, extent)
        else:
            show_slice(axes, picture, PLANES[0], centre_voxel(picture.shape), limits)


def _columns(content: dict) -> int:
    return 1 + 2 * len(content["share"])


def _is_flat(content: dict) -> bool:
    return "image" in content and content["image"].ndim == 2
