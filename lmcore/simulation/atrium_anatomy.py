"""The anatomy all subjects of `atrium` share: the left atrium and what lies around it.

RAS mm; the origin is the middle of the left atrium, so the patient's left is at -x. Sizes of the
middle of the population:

- body of the left atrium 58 x 41 x 49 mm and 62 ml, 85 ml with veins and appendage (F. Bisbal et
  al., "Left atrial sphericity: a new method to assess atrial remodeling. Impact on the outcome of
  atrial fibrillation ablation", 2013: antero-posterior 39 to 47 mm, 73 to 90 ml);
- appendage 30 mm long and 6 ml (G. Ernst et al., "Morphology of the left atrial appendage", 1995:
  orifice 15 to 21 mm, 30 mm long, 5 ml);
- four veins, the left inferior the narrowest (T. H. Hauser et al., "A method for the determination
  of proximal pulmonary vein size using contrast-enhanced magnetic resonance angiography", 2004);
  their diameters, 12 to 19 mm, are assumed;
- wall 2 mm, as thick as a scan of 1.25 mm can show it: the median is 1.45 mm (J. Whitaker et al.,
  "Standardised computed tomographic assessment of left atrial morphology and tissue thickness in
  humans", 2020).

The neighbours are capsules and ellipsoids at their usual places; no source was used for them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lmcore.simulation.solids import (
    ellipsoid,
    half_space,
    round_cone,
    smooth_intersection,
    smooth_union,
    surface,
)

WALL = 2.0  # mm, of the left atrium
VESSEL_WALL = 1.2  # mm, of everything else that holds blood
STEP = 3.1  # mm, of the grid whose contour gives the corresponding points: about 1900 of them

WINDOW_STEP = 6.0  # mm, of the grid on which the surroundings of a solid are sought

# x, y, z and radius in mm: from inside the atrium, over the end of the stub that the segmentation
# keeps, into the lung. Two branches follow from the last point.
VEINS = {
    "right_superior": ((15, -1, 9, 10.0), (36, 2, 16, 7.8), (48, 4, 22, 6.5)),
    "right_inferior": ((15, -7, -8, 9.5), (36, -16, -12, 7.3), (48, -23, -16, 5.5)),
    "left_superior": ((-15, -3, 11, 9.5), (-36, -5, 22, 7.0), (-47, -4, 30, 5.5)),
    "left_inferior": ((-16, -8, -3, 8.5), (-37, -19, -7, 6.2), (-48, -26, -11, 5.0)),
}
APPENDAGE = ((-18, 7, 8, 9.5), (-33, 19, 14, 7.8), (-38, 34, 17, 5.0))
# Where the appendage leaves the atrium, and its tip
APPENDAGE_BASE = np.array([-25.0, 12.0, 11.0])
APPENDAGE_TIP = np.array([-39.0, 38.5, 18.0])

TO_VENTRICLE = np.array([-1.0, 1.0, -1.0]) / np.sqrt(3)
MITRAL_PLANE = np.array([-11.0, 9.0, -10.0]) + 9.0 * TO_VENTRICLE


@dataclass(frozen=True)
class Tissue:
    """A solid of the common anatomy.

    Attributes:
        name: of the structure.
        kind: of tissue, which decides its brightness.
        distance: (...) signed, mm, of points (..., 3).
        low, high: (3,) corners of a box around it, mm.
        wall: mm of wall around it, darker than what it holds.
    """

    name: str
    kind: str
    distance: Callable[[np.ndarray], np.ndarray]
    low: np.ndarray
    high: np.ndarray
    wall: float = 0.0

    def window(self, common: np.ndarray, margin: float) -> tuple[slice, ...]:
        """The part of a grid that can lie within `margin` mm of the solid.

        It is sought on a coarser grid, a little farther away.

        Arguments:
            common: (z, y, x, 3) where each voxel lies in the common anatomy, mm.
        """
        voxel = np.abs(common[1, 1, 1] - common[0, 0, 0]).max()
        step = max(1, round(WINDOW_STEP / voxel))
        sparse = common[::step, ::step, ::step]
        reach = margin + step * voxel
        near = np.all((sparse > self.low - reach) & (sparse < self.high + reach), axis=-1)
        window = []
        for axis, count in enumerate(common.shape[:3]):
            hit = np.flatnonzero(near.any(axis=tuple({0, 1, 2} - {axis})))
            first, last = (hit[0] - 1, hit[-1] + 1) if len(hit) else (0, 0)
            window.append(slice(max(step * first, 0), min(step * last, count)))
        return tuple(window)


def tube(name: str, kind: str, *path: tuple, wall: float = 0.0) -> Tissue:
    """Cones from one (x, y, z, radius) to the next."""
    places = np.array(path, dtype=float)
    middle, radius = places[:, :3], places[:, 3:]

    def distance(points: np.ndarray) -> np.ndarray:
        return along(points, path)

    return Tissue(
        name, kind, distance, (middle - radius).min(axis=0), (middle + radius).max(axis=0), wall
    )


def egg(name: str, kind: str, centre: tuple, radii: tuple, wall: float = 0.0) -> Tissue:
    """An ellipsoid."""
    centre, radii = np.array(centre, dtype=float), np.array(radii, dtype=float)

    def distance(points: np.ndarray) -> np.ndarray:
        return ellipsoid(points, centre, radii)

    return Tissue(name, kind, distance, centre - radii, centre + radii, wall)


def joined(name: str, kind: str, *parts: Tissue, wall: float = 0.0) -> Tissue:
    """Solids that hold the same blood, without walls between them."""

    def distance(points: np.ndarray) -> np.ndarray:
        return np.minimum.reduce([part.distance(points) for part in parts])

    low, high = np.min([p.low for p in parts], axis=0), np.max([p.high for p in parts], axis=0)
    return Tissue(name, kind, distance, low, high, wall)


def along(points: np.ndarray, path: tuple) -> np.ndarray:
    """(...) distance to the cones from one (x, y, z, radius) of a path to the next."""
    cones = [
        round_cone(points, begin[:3], end[:3], begin[3], end[3])
        for begin, end in zip(path[:-1], path[1:], strict=True)
    ]
    return np.minimum.reduce(cones)


def body(points: np.ndarray) -> np.ndarray:
    """(...) distance to the left atrium without veins and appendage, down to the mitral valve."""
    cavity = ellipsoid(points, (0.0, 0.0, 0.0), (28.5, 21.5, 24.0))
    vestibule = ellipsoid(points, (-11.0, 9.0, -10.0), (17.0, 14.0, 14.0))
    both = smooth_union(cavity, vestibule, 8.0)
    # spine and oesophagus flatten the back
    flat = smooth_intersection(both, half_space(points, (0, -18, 0), (0, -1, 0.15)), 8.0)
    return smooth_intersection(flat, half_space(points, MITRAL_PLANE, TO_VENTRICLE), 4.0)


def left_atrium(points: np.ndarray) -> np.ndarray:
    """(...) distance to what a reader segments: body, appendage and stubs of the veins."""
    distance = body(points)
    for path in VEINS.values():
        distance = smooth_union(distance, along(points, path[:2]), 5.0)
    return smooth_union(distance, along(points, APPENDAGE), 5.0)


def _discs(points: np.ndarray) -> np.ndarray:
    """(...) distance to the discs of the spine, 28 mm apart."""
    height = np.abs((points[..., 2] + 20.0) % 28.0 - 14.0) - 3.0
    return np.maximum(along(points, SPINE), height)


def _onward(name: str, path: tuple) -> Tissue:
    """A vein from the end of its stub on, with the two branches of its fork."""
    (*from_stub, _), end = path[1], np.array(path[2], dtype=float)
    onward = end[:3] - np.array(from_stub)
    onward *= 24.0 / np.linalg.norm(onward)
    spread = np.array([0.0, 7.0, 9.0])
    fork = (*path[2][:3], 0.8 * path[2][3])
    tips = [(end[:3] + onward + side * spread).tolist() for side in (-1, 1)]
    paths = (path[1:], *((fork, (*tip, 0.5 * path[2][3])) for tip in tips))
    tubes = [tube(name, "blood", *one) for one in paths]
    return joined(f"{name}_vein", "blood", *tubes, wall=VESSEL_WALL)


SPINE = ((4, -49, -110, 15), (4, -49, 110, 15))
_DISCS = Tissue("discs", "disc", _discs, np.array([-11, -64, -110]), np.array([19, -34, 110]))
_CORNERS = np.array([[-46.0, -29.0, -28.0], [47.0, 42.0, 32.0]])
LEFT_ATRIUM = Tissue("left_atrium", "blood", left_atrium, *_CORNERS, wall=WALL)

# In the order in which they are drawn, each over the ones before; the left atrium comes last.
NEIGHBOURS = (
    egg("heart_fat", "fat", (0, 34, -14), (60, 52, 54)),
    tube("mediastinum", "fat", (-5, -38, -110, 27), (-5, -38, 110, 27)),
    tube("great_vessels_fat", "fat", (2, 10, 26, 30), (4, 12, 110, 36)),
    egg("liver", "liver", (52, 16, -92), (60, 60, 46)),
    tube("spine", "bone", *SPINE, wall=1.5),
    _DISCS,
    tube("oesophagus", "muscle", (-5, -26.5, -110, 5.5), (-5, -26.5, 110, 5.5)),
    tube("trachea", "air", (2, -14, 110, 8), (2, -17, 58, 8)),
    tube("right_bronchus", "air", (2, -17, 58, 7), (48, -27, 27, 6)),
    tube("left_bronchus", "air", (2, -17, 58, 6.5), (-50, -31, 25, 5.5)),
    tube("left_myocardium", "myocardium", (-26, 30, -20, 29), (-52, 58, -46, 23)),
    egg("right_myocardium", "myocardium", (20, 60, -30), (46, 30, 32)),
    egg("right_ventricle", "blood", (20, 60, -30), (42, 26, 28)),
    joined(
        "left_ventricle",
        "blood",
        tube("cavity", "blood", (-26, 30, -21, 20), (-52, 58, -46, 14)),
        tube("outflow", "blood", (-18, 34, -24, 12), (0, 38, -12, 12)),
    ),
    tube("descending_aorta", "blood", (-22, -37, -110, 11.5), (-22, -37, 110, 12.5), wall=1.5),
    tube("azygos_vein", "blood", (14, -31, -110, 3), (14, -31, 110, 3.5), wall=VESSEL_WALL),
    joined(
        "right_atrium",
        "blood",
        egg("cavity", "blood", (40, 20, -14), (22, 24, 28)),
        tube("appendage", "blood", (36, 32, 0, 12), (25, 50, 13, 8)),
        tube("inferior_cava", "blood", (32, 6, -38, 12), (28, 0, -110, 13)),
        tube("superior_cava", "blood", (30, 19, 0, 11), (27, 17, 36, 9), (25, 15, 110, 9.5)),
        wall=VESSEL_WALL,
    ),
    joined(
        "pulmonary_artery",
        "blood",
        tube("trunk", "blood", (2, 58, -18, 16), (-17, 53, 10, 14), (-15, 28, 38, 12.5)),
        tube("left", "blood", (-16, 24, 40, 10), (-52, -24, 47, 8)),
        tube("right", "blood", (-14, 26, 38, 10.5), (20, 5, 37, 9.5), (66, -8, 33, 7)),
        wall=VESSEL_WALL,
    ),
    tube(
        "ascending_aorta",
        *("blood", (0, 40, -12, 13.5), (8, 39, 14, 15), (10, 36, 110, 15)),
        wall=1.5,
    ),
    *(_onward(name, path) for name, path in VEINS.items()),
)

# Through the mitral valve, into the ventricle
MITRAL_INFLOW = tube("mitral_inflow", "blood", (-13, 11, -12, 11), (-20, 22, -20, 12))


def template() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The surface of the left atrium.

    Returns:
        vertices (P, 3) in mm, triangles (F, 3), and what each vertex belongs to: 1 or 0 (P,) by
        `body`, `appendage` and the name of each vein.
    """
    margin = STEP
    vertices, triangles = surface(
        left_atrium, LEFT_ATRIUM.low - margin, LEFT_ATRIUM.high + margin, STEP
    )
    parts = {"body": body(vertices), "appendage": along(vertices, APPENDAGE)}
    parts |= {f"{name}_vein": along(vertices, path[:2]) for name, path in VEINS.items()}
    nearest = np.argmin(np.stack(list(parts.values())), axis=0)
    return vertices, triangles, {name: np.uint8(nearest == k) for k, name in enumerate(parts)}
