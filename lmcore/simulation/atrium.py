"""Left atria in late gadolinium enhanced MRI, and whether atrial fibrillation recurs.

Each scan shows one heart with neighbours of the left atrium's own brightness: intensity alone
does not find it. What each tissue looks like differs from subject to subject; noise is Rician,
the coils make a bias field. `modalities: 2` draws every second subject as black-blood MRI, where
blood is dark, with the same shapes.

Whether it recurs is drawn from a probability that three parameters of the shape decide (see
`atrium_shape`), so that nobody can be right in more than about 72 % of the subjects.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

from lmcore.errors import InputError
from lmcore.seeds import derive_seed
from lmcore.simulation.atrium_anatomy import (
    LEFT_ATRIUM,
    MITRAL_INFLOW,
    NEIGHBOURS,
    WALL,
    Tissue,
    template,
)
from lmcore.simulation.atrium_shape import (
    RECURRENCE_LOG_ODDS,
    SHAPE_PARAMETERS,
    deformation_of,
    draw_patient,
    measure,
)
from lmcore.simulation.options import Range, draw, read_options
from lmcore.simulation.scanner import bias_field, coverage, rician, scan_affine, voxel_centres
from lmcore.simulation.writing import SimulatedVolume, write_volumes

__all__ = ["CLASS_PROBABILITIES", "SHAPE_PARAMETERS", "AtriumOptions", "simulate"]

# By class column, the truth's column with the probability of the class that sorts last
CLASS_PROBABILITIES = {"recurrence": "recurrence_probability"}
MODALITIES = ("lge", "black_blood")

# Brightness of a tissue over that of the left atrium's blood in LGE, for both modalities
LGE: Mapping[str, Range] = {
    "blood": (0.9, 1.1),  # of each neighbour that holds blood; the atrium's own is 1
    "myocardium": (0.3, 0.9),
    "enhancement": (0.9, 1.6),  # of scars in the atrium's wall
    "vessel_wall": (0.3, 1.1),
    "muscle": (0.5, 0.9),
    "fat": (0.15, 0.55),
    "bone": (0.12, 0.4),
    "disc": (0.1, 0.5),
    "liver": (0.35, 0.75),
    "lung": (0.03, 0.12),
    "lung_vessel": (0.3, 0.8),
    "air": (0.0, 0.05),
}
BLACK_BLOOD: Mapping[str, Range] = {
    "blood": (0.08, 0.2),
    "myocardium": (0.5, 0.8),
    "enhancement": (0.5, 0.8),
    "vessel_wall": (0.4, 0.7),
    "muscle": (0.5, 0.8),
    "fat": (0.8, 1.3),
    "bone": (0.5, 0.9),
    "disc": (0.3, 0.6),
    "liver": (0.5, 0.8),
    "lung": (0.02, 0.1),
    "lung_vessel": (0.05, 0.2),
    "air": (0.0, 0.05),
}

# W is inverted on a grid about this wide; cubic splines between err by less than 0.4 mm.
INVERSION_STEP = 5.0  # mm
LEAST_VIEW = 100.0  # mm: the atrium with its veins
WIDEST_SPACING = 5.0  # mm: the veins are 10 mm wide
MOST_VOXELS = 512**3


@dataclass(frozen=True)
class AtriumOptions:
    """Options of the left atria.

    A range is (low, high), drawn as a normal truncated at two standard deviations. The scans of
    the paper are reconstructed from 1.25 x 1.25 x 2.5 mm to half of that, hence the grain of their
    noise; averaged to 3 mm, noise is about two thirds of what it was.
    """

    count: int = 207
    size: tuple[int, int, int] = (128, 128, 128)  # depth, height, width in voxels
    spacing: float = 1.0  # mm
    modalities: int = 1  # 2: every second subject in black-blood MRI

    # What recurrence depends on
    roundness: Range = (0.58, 0.96)  # antero-posterior over the mean of the other two diameters
    enlargement: Range = (0.8, 1.2)  # of the body's diameters
    appendage_length: Range = (20.0, 44.0)  # mm, from the orifice to the tip
    recurrence_log_odds: Mapping[str, float] = field(
        default_factory=lambda: dict(RECURRENCE_LOG_ODDS)
    )

    # What else differs
    heart_size: Range = (0.94, 1.06)  # of everything
    appendage_width: Range = (0.8, 1.25)
    appendage_turn: Range = (-5.0, 5.0)  # mm, of the tip to the patient's left
    vein_radius: Range = (0.8, 1.25)
    vein_bend: Range = (-4.0, 4.0)  # mm along each axis, of the end of each stub
    irregularity: Range = (-2.5, 2.5)  # mm along each axis, of eight dents about the atrium
    rotation: Range = (-7.0, 7.0)  # degrees about each axis
    shift: Range = (-5.0, 5.0)  # mm along each axis

    lge: Mapping[str, Range] = field(default_factory=lambda: dict(LGE))
    black_blood: Mapping[str, Range] = field(default_factory=lambda: dict(BLACK_BLOOD))
    scar: Range = (0.05, 0.5)  # share of the atrium's wall that is enhanced
    brightness: Range = (120.0, 420.0)  # of the atrium's blood in LGE, in the scanner's units
    bias: Range = (0.05, 0.15)  # standard deviation of the coils' factor
    noise: Range = (0.08, 0.18)  # of each channel, over the brightness of the atrium's blood
    grain: Range = (0.5, 0.8)  # mm, the standard deviation of a Gaussian that correlates noise
    slice_profile: Range = (2.0, 3.0)  # mm, full width at half maximum through the slices


def simulate(folder: str | os.PathLike, truth: str | os.PathLike, seed: int, **options) -> None:
    """Write scans as a user's folder, and how each was made.

    Columns of `subjects.csv` are `recurrence` (yes, no) and `modality` (lge, black_blood). The
    truth holds every parameter of shape and scan, `recurrence_probability`, `recurrence` (1, 0)
    and what `measure` measures; `truth/surface.h5` the corresponding points of the surface of the
    left atrium and which of them belong to body, appendage and each vein.

    Arguments:
        folder: where `subjects.csv`, `images/` and `segmentations/` go.
        truth: path of the table of generating parameters.
        seed: the configuration's seed; each subject derives its own from it.
        options: fields of `AtriumOptions`.
    Raises:
        InputError: for an unknown option, a bad value, a shape that folds or is out of view.
    """
    read = read_options(AtriumOptions(), options, "atrium")
    _require_sound(read)
    surface = template()
    write_volumes(
        folder,
        truth,
        (draw_subject(index, seed, read, surface) for index in range(read.count)),
        read.count,
        "Simulating left atria",
        triangles=surface[1],
        regions=surface[2],
    )


def draw_subject(index: int, seed: int, options: AtriumOptions, surface: tuple) -> SimulatedVolume:
    """One subject; its shape and its outcome do not depend on the options of the scan.

    Arguments:
        index: from 0; seed: the configuration's.
        surface: what `template` returns.
    Raises:
        InputError: if the shape folds or the atrium lies outside of the scan.
    """
    vertices, triangles, parts = surface
    shape, probability, recurs = draw_patient(index, seed, options)
    modality = MODALITIES[index % options.modalities]
    random = np.random.default_rng(derive_seed(seed, "atrium", index, modality))
    scan = draw_scan(options, modality, random)
    warp = deformation_of(shape)
    places = voxel_centres(options.size, options.spacing)
    stride = max(1, round(INVERSION_STEP / options.spacing))
    common = warp.inverse_on_grid(places, stride, cubic=True).astype(np.float32)
    distance = np.full(options.size, np.inf, dtype=np.float32)
    window = LEFT_ATRIUM.window(common, WALL + options.spacing)
    distance[window] = LEFT_ATRIUM.distance(common[window])
    subject = f"atrium_{index + 1:03d}"
    if not np.any(distance < 0):
        raise InputError(f"atrium: {subject} lies outside of its scan; take a narrower shift")
    image = scan["brightness"] * _image(common, distance, options, scan, random)

    measured = measure(shape, vertices, triangles, parts["body"])
    outcome = {"recurrence_probability": probability, "recurrence": float(recurs)}
    return SimulatedVolume(
        subject=subject,
        image=np.rint(np.minimum(image, np.iinfo(np.int16).max)).astype(np.int16),
        segmentation=np.uint8(distance < 0),
        affine=scan_affine(options.size, options.spacing),
        labels={"recurrence": "yes" if recurs else "no", "modality": modality},
        truth={**outcome, **measured, **shape, **scan},
        points=warp(vertices),
    )


def draw_scan(
    options: AtriumOptions, modality: str, random: np.random.Generator
) -> dict[str, float]:
    """What one scan looks like: a brightness for each tissue and each neighbour, and the rest."""
    profile = getattr(options, modality)
    scan = {name: draw(random, profile[name]) for name in LGE if name != "blood"}
    for tissue in (LEFT_ATRIUM, MITRAL_INFLOW, *NEIGHBOURS):
        if tissue.kind == "blood":
            scan[tissue.name] = draw(random, profile["blood"])
    if modality == "lge":
        scan["left_atrium"] = 1.0
    for name in ("scar", "brightness", "bias", "noise", "grain", "slice_profile"):
        scan[name] = draw(random, getattr(options, name))
    return scan


def _image(
    common: np.ndarray,
    atrium: np.ndarray,
    options: AtriumOptions,
    scan: Mapping[str, float],
    random: np.random.Generator,
) -> np.ndarray:
    """(z, y, x) magnitudes; the atrium's blood is 1 in LGE.

    Arguments:
        common: (z, y, x, 3) where each voxel lies in the common anatomy, mm.
        atrium: (z, y, x) distance to the left atrium, mm.
    """
    spacing = options.spacing
    image = _lung(options.size, spacing, scan, random)
    for tissue in NEIGHBOURS:
        _paint_tissue(image, tissue, common, scan, spacing)
    scars = bias_field(options.size, 1.0, random) - 1.0 > ndtri(1.0 - scan["scar"])
    wall = np.where(scars, scan["enhancement"], scan["myocardium"])
    _paint(image, atrium - WALL, wall, spacing)
    # over the wall: the valve is open in diastole
    _paint_tissue(image, MITRAL_INFLOW, common, scan, spacing)
    _paint(image, atrium, scan["left_atrium"], spacing)

    through_slices = scan["slice_profile"] / 2.355 / spacing
    image = gaussian_filter(image, (through_slices, 0.0, 0.0), mode="nearest")
    factor = np.maximum(bias_field(options.size, scan["bias"], random), 0.0)
    return rician(factor * image, scan["noise"], random, scan["grain"] / spacing)


def _lung(size, spacing: float, scan: Mapping[str, float], random) -> np.ndarray:
    """(z, y, x) lung, with cross-sections of vessels of 2 to 5 mm."""
    texture = gaussian_filter(random.standard_normal(size), 2.0 / spacing, mode="wrap")
    vessels = texture > 2.0 * texture.std()
    return np.where(vessels, scan["lung_vessel"], scan["lung"])


def _paint_tissue(
    image: np.ndarray,
    tissue: Tissue,
    common: np.ndarray,
    scan: Mapping[str, float],
    spacing: float,
) -> None:
    window = tissue.window(common, tissue.wall + spacing)
    distance = tissue.distance(common[window])
    if tissue.wall:
        _paint(image[window], distance - tissue.wall, scan["vessel_wall"], spacing)
    level = scan[tissue.name] if tissue.kind == "blood" else scan[tissue.kind]
    _paint(image[window], distance, level, spacing)


def _paint(image: np.ndarray, distance: np.ndarray, level, spacing: float) -> None:
    """Put a solid over an image, with partial volume."""
    image += coverage(distance, spacing) * (level - image)


def _require_sound(options: AtriumOptions) -> None:
    if options.count < 1:
        raise InputError("atrium: count must be 1 at least")
    if not 0 < options.spacing <= WIDEST_SPACING:
        raise InputError(
            f"atrium: spacing must be above 0 and at most {WIDEST_SPACING:g} mm, not "
            f"{options.spacing:g}"
        )
    if math.prod(options.size) > MOST_VOXELS:
        raise InputError(
            f"atrium: size {list(options.size)} is more than {MOST_VOXELS} voxels; take fewer"
        )
    view = options.spacing * min(options.size)
    if view < LEAST_VIEW:
        raise InputError(
            f"atrium: size {list(options.size)} at {options.spacing:g} mm shows {view:g} mm; the "
            f"left atrium needs {LEAST_VIEW:g} mm along each axis"
        )
    if options.modalities not in (1, 2):
        raise InputError(f"atrium: modalities must be 1 or 2, not {options.modalities}")
    positive = ("heart_size", "roundness", "enlargement", "appendage_length", "appendage_width")
    for name in (*positive, "vein_radius", "brightness", "slice_profile"):
        if getattr(options, name)[0] <= 0:
            raise InputError(f"atrium: {name} must be positive, not {list(getattr(options, name))}")
    for name in ("bias", "noise", "grain"):
        if getattr(options, name)[0] < 0:
            raise InputError(f"atrium: {name} must not be negative")
    if not 0 < options.scar[0] <= options.scar[1] < 1:
        raise InputError(f"atrium: scar must lie between 0 and 1, not {list(options.scar)}")
    for modality in MODALITIES:
        for tissue, (low, _) in getattr(options, modality).items():
            if low < 0:
                raise InputError(f"atrium: {modality}.{tissue} must not be negative")
