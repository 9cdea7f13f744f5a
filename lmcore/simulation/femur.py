"""CT of proximal femurs, some with the bump of cam-type femoroacetabular impingement.

The mean cam femur of M. Harris et al., "Statistical shape modeling of cam femoroacetabular
impingement", J. Orthop. Res. 2013, protrudes from the controls' by at most 3.3 mm, and by 2.5 to
3.0 mm along the anterolateral head-neck junction: hence 2 to 5 mm here, centred at half past one
on the neck's clock face, the anterosuperior position of S. Carsen et al., "The Otto Aufranc
Award. On the etiology of the cam deformity: a cross-sectional pediatric MRI study", Clin.
Orthop. Relat. Res. 2014. Everything else is drawn alike for both groups.

Neck-shaft angle 125 +- 6 degrees and the local part of anteversion 12 +- 6 follow M. Hartel et
al., PLoS One 2016 (quartiles 117.9 and 125.6, torsion 7.4 and 20.4; the rest of the torsion is
pose here), head radius and its spread A. Jamali et al., Clin. Orthop. Relat. Res. 2013, the
joint space of 4.2 +- 0.9 mm M. Lequesne et al., "The normal hip joint space: variations in
width, shape, and architecture on 223 pelvic radiographs", Ann. Rheum. Dis. 2004. Unevenness is
as large as leaves 0.5 mm of a femur unexplained by the first 6 principal components and 0.3 mm by
the first 15, as in the 49 real femurs of ShapeWorks's verification data. Other spreads are
assumed; `femur_anatomy` has the sizes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from lmcore.errors import InputError
from lmcore.seeds import derive_seed
from lmcore.simulation.deformation import Deformation, rotation
from lmcore.simulation.femur_anatomy import CUT, Tissue, femur_surface, render
from lmcore.simulation.femur_shape import UNEVEN_PLACES, Bump, Shape
from lmcore.simulation.options import Range, draw, read_options
from lmcore.simulation.scanner import scan_affine, voxel_centres
from lmcore.simulation.writing import SimulatedVolume, write_volumes

# Vertices this close to the end of the surface's points belong to the cut, mm.
CUT_MARGIN = 6.0
# Share of the room left in a scan that lies below the cut: the rest shows pelvis.
ROOM_BELOW = 0.25
# Sheets of fat between muscles: how many waves, and their lengths in mm.
WAVES, WAVE_LENGTH = 4, (45.0, 80.0)


@dataclass(frozen=True)
class FemurOptions:
    """Options of the femur population.

    A range is (low, high), drawn as a normal truncated at two standard deviations. Lengths of
    the anatomy are in mm at a scale of 1; the scan shows them times `scale`.
    """

    counts: Mapping[str, int] = field(default_factory=lambda: {"control": 50, "cam": 9})
    size: tuple[int, int, int] = (128, 128, 128)  # depth, height, width in voxels
    spacing: float = 1.0  # mm, of the voxels
    bump_height: Range = (2.0, 5.0)  # mm in the scan, of the cam group
    bump_clock: float = 1.5  # hours around the neck, 12 is superior and 3 anterior
    bump_along: float = 7.0  # mm, standard deviations along and around the neck
    bump_around: float = 11.0
    scale: Range = (0.92, 1.08)
    neck_shaft_angle: Range = (113.0, 137.0)  # degrees
    anteversion: Range = (0.0, 24.0)  # degrees, with respect to the trochanters
    neck_length: Range = (48.0, 56.0)
    neck_width: Range = (28.0, 36.0)
    head_radius: Range = (22.0, 26.0)
    shaft_diameter: Range = (25.0, 30.0)
    greater_trochanter: Range = (-4.0, 4.0)  # mm that its tip stands out
    lesser_trochanter: Range = (-2.5, 2.5)
    uneven: Range = (-2.3, 2.3)  # mm that the surface stands out at each of 36 places
    rotation: Range = (-5.0, 5.0)  # degrees about each axis of the scan
    shift: Range = (-3.0, 3.0)  # mm along each axis of the scan
    pelvis_rotation: Range = (-8.0, 8.0)  # degrees about each axis, beside the femur's
    joint_space: Range = (3.0, 5.4)  # mm
    fat: Range = (-6.0, 6.0)  # mm by which the fat under the skin is thinner
    cortical: Range = (1200.0, 1600.0)  # HU
    density: Range = (0.75, 1.25)  # factor of the HU of cancellous bone
    blur: Range = (0.4, 0.8)  # mm, standard deviation
    noise: Range = (10.0, 25.0)  # HU, standard deviation


# Options of one number that are the same for all subjects.
_FIXED = ("counts", "size", "spacing", "bump_clock", "bump_along", "bump_around")
_SHAPE = tuple(one.name for one in fields(Shape) if one.name != "uneven")
_UNEVEN = tuple(f"uneven_{place:02d}" for place in range(UNEVEN_PLACES))
# What the shape has without its pose
SHAPE_PARAMETERS = ("bump_height", "scale", *_SHAPE, *_UNEVEN)
_OF_EACH_AXIS = ("rotation", "shift", "pelvis_rotation")


def simulate(folder: str | os.PathLike, truth: str | os.PathLike, seed: int, **options) -> None:
    """Write CT scans of femurs with segmentations as a user's folder, and how each was made.

    The columns of `subjects.csv` are `group` (control or cam) and `side` (L or R, half each). A
    right femur is the mirror image of a left one. The truth holds every parameter drawn and
    `bump_height`, 0 for controls; its surface has the regions `bump`, where the bump displaces
    by more than half its height, and `cut`, the end at the shaft.

    Arguments:
        folder: where `subjects.csv`, `images/` and `segmentations/` go.
        truth: path of the table of generating parameters.
        seed: the configuration's seed; each subject derives its own from it.
        options: fields of `FemurOptions`.
    Raises:
        InputError: for an unknown option, a bad value, or a femur that the scan cannot hold.
    """
    read = read_options(FemurOptions(), options, "femur")
    _require_sound(read)
    drawn = [
        (f"femur_{index + 1:03d}", group, side, draw_parameters(seed, index, group, read))
        for index, (group, side) in enumerate(_groups_and_sides(seed, read.counts))
    ]
    for subject, _, _, parameters in drawn:
        _require_in_view(subject, deformation(parameters, read), read)
    scans = (_scan(seed, index, one, read) for index, one in enumerate(drawn))
    vertices, triangles = femur_surface()
    share, _ = bump_of(read).field(vertices)
    regions = {"bump": share > 0.5, "cut": vertices[:, 2] < CUT + CUT_MARGIN}
    write_volumes(folder, truth, scans, len(drawn), "Simulating femurs", triangles, regions)


def draw_parameters(seed: int, index: int, group: str, options: FemurOptions) -> dict[str, float]:
    """Everything that makes one femur and its scan but the noise of each voxel."""
    random = np.random.default_rng(derive_seed(seed, "femur", index))
    parameters = {}
    for name in (one.name for one in fields(options) if one.name not in _FIXED):
        low_high = getattr(options, name)
        if name in _OF_EACH_AXIS:
            parameters |= {f"{name}_{axis}": draw(random, low_high) for axis in "xyz"}
        elif name == "uneven":
            parameters |= {key: draw(random, low_high) for key in _UNEVEN}
        else:
            parameters[name] = draw(random, low_high)
    if group != "cam":
        parameters["bump_height"] = 0.0
    return parameters


def bump_of(options: FemurOptions) -> Bump:
    """Where the bump is, the same for all subjects."""
    return Bump(options.bump_clock, options.bump_along, options.bump_around)


def deformation(parameters: Mapping[str, float], options: FemurOptions) -> Deformation:
    """From the common anatomy to the scan of a left femur.

    The femur above the cut lies in the middle of the scan from side to side and from front to
    back, with most of the room above it, as a technician would plan it; then it is shifted.
    """
    shape = Shape(
        **{name: parameters[name] for name in _SHAPE},
        uneven=np.array([parameters[name] for name in _UNEVEN]),
    )
    scale = parameters["scale"]
    bulge = bump_of(options).displacement(parameters["bump_height"] / scale)
    matrix = scale * rotation(_axes(parameters, "rotation"))
    placed = Deformation(lambda points: shape.displacement(points) + bulge(points), matrix, 0.0)
    corners = placed(femur_surface()[0])
    low, high = corners.min(axis=0), corners.max(axis=0)
    shift = -(low + high) / 2.0
    room = np.ptp(_reach(options), axis=0)[2] - (high - low)[2]
    shift[2] = _reach(options)[0, 2] + ROOM_BELOW * room - low[2]
    return replace(placed, shift=shift + _axes(parameters, "shift"))


def render_left(
    warp: Deformation,
    parameters: Mapping[str, float],
    options: FemurOptions,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Image (z, y, x) int16 in HU and segmentation (z, y, x) uint8 of a left femur.

    Arguments:
        warp: of the femur.
        parameters: of the tissues and the scanner.
        options: size and spacing of the scan.
        random: draws the fat between muscles and the noise.
    """
    points = warp.inverse_on_grid(voxel_centres(options.size, options.spacing), cubic=True)
    directions = random.standard_normal((WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = random.uniform(*WAVE_LENGTH, WAVES)
    tissue = Tissue(
        cortical=parameters["cortical"],
        density=parameters["density"],
        joint_space=parameters["joint_space"],
        pelvis=rotation(_axes(parameters, "pelvis_rotation")),
        fat=parameters["fat"],
        waves=2.0 * np.pi / lengths[:, None] * directions,
        phases=random.uniform(0.0, 2.0 * np.pi, WAVES),
    )
    image, segmentation = render(points, tissue, parameters["scale"], options.spacing)
    image = gaussian_filter(image, parameters["blur"] / options.spacing)
    image += parameters["noise"] * random.standard_normal(image.shape)
    return np.rint(image).astype(np.int16), segmentation.astype(np.uint8)


def _scan(seed: int, index: int, drawn, options: FemurOptions) -> SimulatedVolume:
    subject, group, side, parameters = drawn
    warp = deformation(parameters, options)
    random = np.random.default_rng(derive_seed(seed, "femur", index, "tissue"))
    image, segmentation = render_left(warp, parameters, options, random)
    points = warp(femur_surface()[0])
    if side == "R":  # the mirror image: the scan's middle is at x = 0
        image, segmentation = (array[:, :, ::-1].copy() for array in (image, segmentation))
        points = points * np.array([-1.0, 1.0, 1.0])
    return SimulatedVolume(
        subject=subject,
        image=image,
        segmentation=segmentation,
        affine=scan_affine(options.size, options.spacing),
        labels={"group": group, "side": side},
        truth=parameters,
        points=points,
    )


def _groups_and_sides(seed: int, counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Group and side of every subject: each group has both sides, and the order says nothing."""
    every = [(group, "LR"[k % 2]) for group in counts for k in range(counts[group])]
    order = np.random.default_rng(derive_seed(seed, "femur", "order")).permutation(len(every))
    return [every[k] for k in order]


def _axes(parameters: Mapping[str, float], name: str) -> tuple[float, float, float]:
    return tuple(parameters[f"{name}_{axis}"] for axis in "xyz")


def _reach(options: FemurOptions) -> np.ndarray:
    """(2, 3) lowest and highest coordinates of the voxels' centres, mm."""
    half = options.spacing * (np.array(options.size[::-1]) - 1) / 2.0
    return np.stack([-half, half])


def _require_in_view(subject: str, warp: Deformation, options: FemurOptions) -> None:
    points = warp(femur_surface()[0])
    low, high = _reach(options)
    if (points < low).any() or (points > high).any():
        raise InputError(
            f"femur: {subject} does not fit into {list(options.size)} voxels of "
            f"{options.spacing:g} mm: raise size or spacing (120 mm a side is enough by default)"
        )


def _require_sound(options: FemurOptions) -> None:
    if sum(options.counts.values()) < 1:
        raise InputError("femur: counts must ask for one subject at least")
    if min(options.size) < 16 or max(options.size) > 256:
        raise InputError(f"femur: size must be 16 to 256 voxels a side, not {list(options.size)}")
    for name in ("spacing", "bump_along", "bump_around"):
        if getattr(options, name) <= 0:
            raise InputError(f"femur: {name} must be positive, not {getattr(options, name):g}")
    for name in ("scale", "neck_length", "neck_width", "head_radius", "shaft_diameter"):
        if getattr(options, name)[0] <= 0:
            raise InputError(f"femur: {name} must be positive")
    for name in ("bump_height", "joint_space", "cortical", "density", "blur", "noise"):
        if getattr(options, name)[0] < 0:
            raise InputError(f"femur: {name} must not be negative")
