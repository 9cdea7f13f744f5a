"""The left hip that all simulated femurs are deformed from: bones, joint and soft tissue in HU.

Coordinates are RAS mm: +x towards the patient's right, which is medial of a left femur, +y
anterior, +z superior. The origin is where the axes of neck and shaft meet.

Sizes, at scale 1:
- Head radius 24, neck 26 deep and 32 high: between men and women of A. Jamali et al., "What is
  normal femoral head/neck anatomy? An analysis of radial CT reconstructions in adolescents",
  Clin. Orthop. Relat. Res. 2013 (head radius 24.5 and 21.9, mean neck radius 16.1 and 13.8).
- Head offset 43, head 52 above the lesser trochanter, neck-shaft angle 125 degrees: P. Noble et
  al., "The anatomic basis of femoral component design", Clin. Orthop. Relat. Res. 1988.
- Anteversion 12 degrees: between the 9.7 of P. Toogood et al., "Proximal femoral anatomy in the
  normal human population", Clin. Orthop. Relat. Res. 2009, and the 14.2 of M. Hartel et al.,
  "Determination of femoral neck angle and torsion angle utilizing a novel three-dimensional
  modeling and analytical technology based on CT datasets", PLoS One 2016.
- Cortex of the neck from 1.6 above to 3.9 below: K. Poole et al., "Changing structure of the
  femoral neck across the adult female lifespan", J. Bone Miner. Res. 2010.
Trochanters, pelvis, the shaft's cortex, HU of cancellous bone and soft tissue are assumed.
"""

import functools
from dataclasses import dataclass

import numpy as np

from lmcore.simulation.scanner import coverage
from lmcore.simulation.solids import (
    ellipsoid,
    half_space,
    round_cone,
    smooth_intersection,
    smooth_union,
    sphere,
    surface,
)

NECK_SHAFT_ANGLE = 125.0  # degrees
ANTEVERSION = 12.0  # degrees
NECK_LENGTH = 52.0  # from the axis of the shaft to the head's centre
NECK_WIDTH = 32.0  # from its upper to its lower margin
HEAD_RADIUS = 24.0
SHAFT_DIAMETER = 27.5


def neck_direction(neck_shaft_angle: float, anteversion: float) -> np.ndarray:
    """(3,) unit vector along the neck towards the head, of angles in degrees."""
    tilt, turn = np.radians(180.0 - neck_shaft_angle), np.radians(anteversion)
    return np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])


NECK = neck_direction(NECK_SHAFT_ANGLE, ANTEVERSION)
HEAD = NECK_LENGTH * NECK
# Across the neck: 12 o'clock and 3 o'clock of its clock face, where 3 is anterior on both sides
SUPERIOR = np.array([0.0, 0.0, 1.0]) - NECK[2] * NECK
SUPERIOR /= np.linalg.norm(SUPERIOR)
ANTERIOR = np.cross(SUPERIOR, NECK)
GREATER_TROCHANTER = np.array([-15.0, -8.0, 24.0])
LESSER_TROCHANTER = np.array([10.0, -17.0, -21.8])
# The surface's points end here, below the lesser trochanter; a scan shows more of the shaft
CUT = -32.0

# No femur and no pelvis outside, mm; low and high corner
FEMUR_BOX = np.array([[-32.0, -27.0, -np.inf], [72.0, 39.0, 60.0]])
PELVIS_BOX = np.array([[0.0, -40.0, -np.inf], [np.inf, np.inf, np.inf]])

# Normal of the acetabulum's opening, 42 degrees inclined and 18 anteverted
OPENING = np.array([-0.636, 0.309, -0.707])
CARTILAGE, MUSCLE, FAT = 80.0, 50.0, -100.0  # HU


@dataclass(frozen=True)
class Tissue:
    """What of a hip is no shape of its femur.

    Attributes:
        cortical: HU of compact bone.
        density: factor of the HU of cancellous bone.
        joint_space: between head and acetabulum, mm.
        pelvis: (3, 3) rotation of the pelvis about the head's centre.
        fat: mm by which the subcutaneous fat is thinner than usual.
        waves: (K, 3) wave vectors, radians per mm, and
        phases: (K) of the sheets of fat between the muscles.
    """

    cortical: float
    density: float
    joint_space: float
    pelvis: np.ndarray
    fat: float
    waves: np.ndarray
    phases: np.ndarray


def femur(points: np.ndarray) -> np.ndarray:
    """(...) signed distance of points (..., 3) to the femur, mm; a bound away from its surface."""
    upper = round_cone(points, 6 * NECK + 4 * SUPERIOR, 46 * NECK + 3 * SUPERIOR, 12.5, 13.0)
    lower = round_cone(points, 2 * NECK - 6 * SUPERIOR, 46 * NECK - 3 * SUPERIOR, 14.5, 13.0)
    head = sphere(points, HEAD, HEAD_RADIUS)
    fovea = sphere(points, HEAD + (HEAD_RADIUS + 3.5) * np.array([0.93, -0.2, -0.31]), 6.0)
    head = smooth_intersection(head, -fovea, 2.0)
    bone = smooth_union(head, smooth_union(upper, lower, 3.0), 5.0)

    body = round_cone(points, (-5.0, -2.0, 2.0), (0.0, 0.0, -34.0), 17.0, SHAFT_DIAMETER / 2)
    shaft = round_cone(
        points, (0.0, 0.0, -30.0), (-1.0, 1.0, -300.0), SHAFT_DIAMETER / 2, SHAFT_DIAMETER / 2
    )
    greater = round_cone(points, (-11.0, -4.0, -6.0), (-14.0, -10.0, 20.0), 14.5, 9.0)
    facet = ellipsoid(points, (-11.0, 6.0, 4.0), (13.0, 12.0, 17.0))
    crest = round_cone(points, (-12.0, -14.0, 12.0), (6.0, -14.0, -16.0), 5.5, 4.0)
    lesser = round_cone(points, (4.0, -6.0, -25.0), (8.6, -14.0, -21.8), 10.0, 5.0)
    trochanters = smooth_union(smooth_union(greater, facet, 6.0), crest, 5.0)
    lower_part = smooth_union(smooth_union(body, shaft, 6.0), lesser, 5.0)
    return smooth_union(bone, smooth_union(trochanters, lower_part, 6.0), 7.0)


def pelvis(points: np.ndarray, cavity: float) -> np.ndarray:
    """(...) signed distance of points (..., 3) to the pelvis, whose acetabulum has a radius, mm."""
    at = points - HEAD
    cup = sphere(at, np.zeros(3), cavity + 7.0)
    cup = smooth_intersection(cup, half_space(at, 1.0 * OPENING, OPENING), 3.0)
    ilium = round_cone(at, (6.0, -4.0, 38.0), (10.0, -18.0, 90.0), 14.0, 9.0)
    pubis = round_cone(at, (26.0, 12.0, 0.0), (66.0, 26.0, -16.0), 11.0, 8.0)
    ischium = round_cone(at, (16.0, -24.0, -8.0), (18.0, -26.0, -56.0), 13.0, 13.0)
    bone = smooth_union(smooth_union(cup, ilium, 8.0), smooth_union(pubis, ischium, 4.0), 8.0)
    return smooth_intersection(bone, -sphere(at, np.zeros(3), cavity), 1.5)


def cortex_thickness(points: np.ndarray) -> np.ndarray:
    """(...) thickness of the femur's compact bone at points (..., 3), mm."""
    shaft = 4.8 * (1.0 - ramp(points[..., 2], -48.0, -8.0))
    return 1.1 + shaft + 2.8 * _blob(points, (17.0, 2.0, -7.0), 12.0)


def cancellous(points: np.ndarray) -> np.ndarray:
    """(...) HU inside the femur's compact bone: trabeculae above, fatty marrow in the shaft."""
    begin, end = np.array([11.0, 1.0, -14.0]), HEAD + np.array([-2.0, 0.0, 20.0])
    compressive = np.maximum(round_cone(points, begin, end, 1.0, 6.0), 0.0)
    bone = (
        200.0
        + 130.0 * _blob(points, HEAD + np.array([0.0, 0.0, 5.0]), 15.0)
        + 130.0 * np.exp(-np.square(compressive) / (2 * 4.0**2))
        - 90.0 * _blob(points, 18.0 * NECK - 3.0 * SUPERIOR, 9.0)  # Ward's triangle
        - 80.0 * _blob(points, (-10.0, -4.0, 4.0), 13.0)
    )
    marrow = 1.0 - ramp(points[..., 2], -42.0, -12.0)
    return bone + (-60.0 - bone) * marrow


def render(
    points: np.ndarray, tissue: Tissue, scale: float, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """HU of voxels, and which lie in the femur.

    Arguments:
        points: (..., 3) the voxels' centres in the common anatomy.
        tissue: of the subject.
        scale: mm of the scan per mm of the common anatomy.
        spacing: of the voxels, mm.
    Returns:
        image (...) in HU and segmentation (...) bool, of the centres.
    """
    image = _soft_tissue(points, tissue)
    turned = (points - HEAD) @ tissue.pelvis + HEAD
    cavity = HEAD_RADIUS + tissue.joint_space / scale
    near = _inside(turned, PELVIS_BOX)
    distance = scale * pelvis(turned[near], cavity)
    inner = 180.0 * tissue.density
    image[near] = _bone(image[near], distance, 2.0, inner, tissue.cortical, spacing)

    near = _inside(points, FEMUR_BOX)
    close = points[near]
    distance = scale * femur(close)
    thickness = scale * cortex_thickness(close)
    inner = tissue.density * cancellous(close)
    image[near] = _bone(image[near], distance, thickness, inner, tissue.cortical, spacing)
    segmentation = near
    segmentation[near] = distance <= 0.0
    return image, segmentation


@functools.cache
def femur_surface(step: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (F, 3) of the femur above `CUT`, open below.

    The triangles' normals point outward; in the mirror image of a right femur, inward.
    """
    low, high = FEMUR_BOX
    vertices, triangles = surface(femur, np.append(low[:2], CUT), high, step)
    return vertices, triangles[:, ::-1].copy()


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """A smooth step from 0 at `low` to 1 at `high`."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _blob(points: np.ndarray, centre, width: float) -> np.ndarray:
    apart = points - np.asarray(centre)
    return np.exp(np.einsum("...i,...i", apart, apart) / (-2 * width**2))


def _inside(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(...) which points lie in a box; bones are computed there only, which saves half the time."""
    return np.all((points > box[0]) & (points < box[1]), axis=-1)


def _bone(around, distance, thickness, inner, cortical: float, spacing: float) -> np.ndarray:
    """The HU `around` a bone replaced by its shell's and its inside's where it covers voxels."""
    whole, core = coverage(distance, spacing), coverage(distance + thickness, spacing)
    return around * (1.0 - whole) + cortical * (whole - core) + inner * core


def _soft_tissue(points: np.ndarray, tissue: Tissue) -> np.ndarray:
    """(...) HU of muscle, the fat under the skin and between muscles, and the joint's cartilage."""
    waves = np.sin(points @ tissue.waves.T + tissue.phases).sum(axis=-1)
    between = 0.8 * np.exp(-np.square(waves / 0.15))
    radii = np.array([80.0, 68.0]) + tissue.fat
    reach = np.linalg.norm((points[..., :2] - np.array([40.0, -4.0])) / radii, axis=-1)
    fat = np.maximum(between, ramp(reach, 0.98, 1.02))
    image = MUSCLE + (FAT - MUSCLE) * fat
    joint = ramp(sphere(points, HEAD, HEAD_RADIUS + 7.0), 0.0, 3.0)
    return CARTILAGE + (image - CARTILAGE) * joint
