"""Surfaces in 3D: where their vertices lie, and what the renderer shows of them."""

import subprocess
import sys

import numpy as np
import pytest
from drawing import bare_axes
from matplotlib.colors import to_rgb

from lmcore.figures import surfaces
from lmcore.figures.rendering import Surface, render, view_from

SQUARE = Surface(  # at y = 0, 20 mm along x, 10 mm along z
    np.array([[0.0, 0, 0], [20, 0, 0], [20, 0, 10], [0, 0, 10]]), np.array([[0, 1, 2], [0, 2, 3]])
)


def test_views_are_what_their_names_say():
    points = np.array([[0.0, 0, 0], [20, 6, 10]])
    low, high = view_from(surfaces.ANTERIOR, points, 100).project(points)
    # face to face: the patient's right is at the left, superior above, anterior near
    assert high[0] < low[0]
    assert high[1] < low[1]
    assert high[2] > low[2]
    assert abs(high[0] - low[0]) == pytest.approx(90)
    assert abs(high[1] - low[1]) == pytest.approx(45)
    low, high = view_from(surfaces.SUPERIOR, points, 100).project(points)
    assert high[0] > low[0]  # from above, with anterior above
    assert high[1] < low[1]
    low, high = view_from(surfaces.LEFT, points, 100).project(points)
    assert high[0] < low[0]  # anterior at the left
    assert high[2] < low[2]
    rotation = view_from(surfaces.OBLIQUE, points, 100).rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_triangles_fill_their_pixels_without_holes_and_nothing_else():
    view = view_from(surfaces.ANTERIOR, SQUARE.vertices, 100, fill=0.8)
    picture, _ = render(view, SQUARE, "#808080")
    column, row, _ = view.project(SQUARE.vertices).T
    inside = np.zeros((100, 100), dtype=bool)
    inside[
        int(row.min()) + 2 : int(row.max()) - 1, int(column.min()) + 2 : int(column.max()) - 1
    ] = 1
    assert inside.sum() > 2500
    assert np.ptp(picture[inside], axis=0).max() == pytest.approx(0)
    assert picture[inside][0].max() < 0.9
    outside = np.ones_like(inside)
    outside[
        int(row.min()) - 1 : int(row.max()) + 3, int(column.min()) - 1 : int(column.max()) + 3
    ] = 0
    assert (picture[outside] == 1).all()


def test_the_nearest_triangle_is_seen_and_colours_run_between_vertices():
    far = Surface(SQUARE.vertices - (0, 5, 0), SQUARE.faces)
    both = Surface(
        np.concatenate([SQUARE.vertices, far.vertices]),
        np.concatenate([SQUARE.faces, SQUARE.faces + 4]),
    )
    red_to_blue = np.array([[1.0, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    colours = np.concatenate([red_to_blue, np.tile([0.0, 1, 0], (4, 1))])
    front = render(view_from(surfaces.ANTERIOR, both.vertices, 60), both, colours)[0]
    # x = 0 is the patient's left, at the right of the picture
    assert front[30, 50, 0] > 4 * front[30, 50, 2]
    assert front[30, 10, 2] > 4 * front[30, 10, 0]
    middle = front[30, 29:31].mean(axis=0)
    assert middle[0] == pytest.approx(middle[2], rel=0.05)
    back = render(view_from(surfaces.POSTERIOR, both.vertices, 60), both, colours)[0]
    assert back[30, 30, 1] > 3 * back[30, 30, [0, 2]].max()


def test_spheres_before_the_surface_are_seen_and_those_behind_are_faint():
    centres = np.array([[5.0, 1, 5], [15.0, -5, 5], [10.0, -5, 14]])  # the last one beside it
    view = view_from(surfaces.ANTERIOR, np.concatenate([SQUARE.vertices, centres]), 200)
    picture, visible = render(view, SQUARE, "#808080", centres, ["#0000ff"] * 3, radius=1.0)
    plain, _ = render(view, SQUARE, "#808080")
    assert visible.tolist() == [True, False, True]
    column, row, _ = view.project(centres).astype(int).T
    before, behind, beside = picture[row, column]
    assert before[2] > 0.7
    assert before[:2].max() < 0.3
    assert 0.1 < behind[2] - behind[0] < 0.4
    assert beside == pytest.approx(before, abs=0.02)
    changed = np.argwhere((picture != plain).any(axis=-1))
    distance = np.linalg.norm(changed[:, None] - np.stack([row, column], axis=1), axis=-1)
    assert distance.min(axis=1).max() <= view.scale + 2


def test_a_surface_without_triangles_leaves_spheres():
    nothing = Surface(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))
    centre = np.array([[1.0, 2, 3]])
    view = view_from(surfaces.ANTERIOR, centre, 40)
    picture, visible = render(view, nothing, "#808080", centre, ["#ff0000"], 5 / view.scale)
    assert visible.tolist() == [True]
    assert 50 < (picture[..., 1] < 0.9).sum() < 110  # pi 5^2


@pytest.fixture
def ball():
    """Radius 8 voxels around (x, y, z) = (14, 20, 11) of a grid (24, 40, 30)."""
    z, y, x = np.mgrid[:24, :40, :30]
    return ((x - 14) ** 2 + (y - 20) ** 2 + (z - 11) ** 2 <= 64).astype(np.uint8)


def test_the_surface_of_a_ball_lies_at_its_radius_in_mm(ball):
    surface = surfaces.surface_of(ball, 0.5)
    offset = surface.vertices - np.array([14, 20, 11]) * 0.5
    assert np.linalg.norm(offset, axis=1) == pytest.approx(4.0, abs=0.35)
    assert np.linalg.norm(offset, axis=1).mean() == pytest.approx(4.0, abs=0.15)
    # closed: the volume by the divergence theorem
    first, second, third = (offset[surface.faces[:, k]] for k in range(3))
    volume = np.abs(np.einsum("fk,fk->f", first, np.cross(second, third)).sum()) / 6
    assert volume == pytest.approx(ball.sum() * 0.125, rel=0.05)
    outward = np.einsum(
        "vk,vk->v", surface.normals(), offset / np.linalg.norm(offset, axis=1)[:, None]
    )
    assert np.abs(outward).mean() > 0.98


def test_a_segmentation_at_the_grids_edge_has_a_closed_surface():
    segmentation = np.zeros((8, 9, 10))
    segmentation[:4] = 1
    surface = surfaces.surface_of(segmentation, 2.0)
    edges = np.sort(np.concatenate([surface.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]))
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert surface.vertices[:, 2].min() == pytest.approx(-1, abs=0.5)
    assert surface.vertices[:, 2].max() == pytest.approx(7, abs=0.5)


def test_an_empty_segmentation_has_no_surface():
    surface = surfaces.surface_of(np.zeros((4, 5, 6)), 1.0)
    assert (surface.vertices.shape, surface.faces.shape) == ((0, 3), (0, 3))


def test_numbers_are_written_at_the_landmarks_that_are_seen(ball):
    surface = surfaces.surface_of(ball, 0.5)
    centre = np.array([14, 20, 11]) * 0.5
    points = centre + np.array([[0.0, 4.2, 0], [0.0, -4.2, 0], [4.2, 0, 0]])
    axes = bare_axes(1.5, 1.5)
    view = surfaces.show_surface(axes, surface, 1.5, points, [3, 5, 9], surfaces.ANTERIOR)
    written = {text.get_text(): text for text in axes.texts}
    assert set(written) == {"3", "9", "R", "S"}  # 5 is behind, and A points at the viewer
    assert written["3"].xy == pytest.approx(view.project(points[:1])[0, :2])
    picture = axes.images[0].get_array()
    column, row, _ = view.project(points[2:])[0].astype(int)
    assert column < picture.shape[1] / 4
    np.testing.assert_allclose(picture[row, column + 2], to_rgb("#0072B2"), atol=0.35)


def test_rendering_gives_the_same_bytes_twice(ball):
    pictures = []
    for _ in range(2):
        surface = surfaces.surface_of(ball, 0.5)
        view = view_from(surfaces.OBLIQUE, surface.vertices, 120)
        pictures.append(render(view, surface, surfaces.BONE)[0].tobytes())
    assert pictures[0] == pictures[1]


def test_figures_load_pyvista_only_where_a_surface_is_drawn():
    code = (
        "import sys; import lmcore.figures.montages, lmcore.figures.experiment, "
        "lmcore.figures.registration; "
        "print({'torch', 'pyvista', 'vtkmodules'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
