"""Infant cranial CT with and without metopic craniosynostosis, and a panel's ratings.

Ages and counts are those of the paper (5-15 months; 93 controls, 27 metopic). Sizes and rates:

- Head circumference: WHO Child Growth Standards: head circumference-for-age (World Health
  Organization, 2007), medians of boys and girls averaged, with the standard deviation of both
  together.
- Cephalic index: 81-85 % on average in the first two years (J. Pindrik et al., "Normative ranges
  of anthropometric cranial indices and metopic suture closure during infancy", 2016), with a
  standard deviation of 7 % over three years (W. Likus et al., "Cephalic index in the first three
  years of life", 2014), of 4.5 % here, within one year of age.
- Forehead: the interfrontal angle is 144.8 (standard deviation 8.5) degrees in normal infants and
  117.7 (9.0; 92 to 137) in metopic synostosis (R. Kellogg et al., "Interfrontal angle for
  characterization of trigonocephaly: part 1", 2012), and tells the two apart with an area under
  the curve of 0.986. The common head has 144 degrees, 118 at a severity of 0.6 and 99 at 1.
  `forehead` varies along the same mode: 144 (6.5) and 117 (12) degrees, an area of 0.97.
- Metopic suture: closed from the nasion upwards, in 38 % at 3, 69 % at 6 and all at 9 months
  (Pindrik et al. 2016; H. L. Vu et al., "The timing of physiologic closure of the metopic suture",
  2001). Anterior fontanelle: at most 1000 mm2, closed in 16 % at 10 and 88 % at 20 months
  (J. Pindrik et al., "Anterior fontanelle closure and size in full-term children based on head
  computed tomography", 2014). Other sutures: about 1 to 2.4 mm wide (L. A. Mitchell et al.,
  "Normal sagittal and coronal suture widths by using CT imaging", 2011).
- Asymmetry: about nine in ten within a cranial vault asymmetry of 3.5 %, above which
  plagiocephaly is called (B. P. Loveday and T. B. de Chalain, "Active counterpositioning or
  orthotic device to treat positional plagiocephaly?", 2001).
- Severity was rated by panels for such a population in R. Bhalodia et al., "Quantifying the
  severity of metopic craniosynostosis", 2020.

Height, unevenness, thickness of bone and fluid, and what raters disagree in are assumed.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.seeds import derive_seed
from lmcore.simulation.cranium_scan import scan
from lmcore.simulation.cranium_shape import UNEVEN_AT, cranium, deformation, forehead
from lmcore.simulation.options import Range, draw, read_options
from lmcore.simulation.scanner import scan_affine
from lmcore.simulation.solids import surface
from lmcore.simulation.writing import SimulatedVolume, write_volumes

# Age in months, mm of head circumference: mean of the medians of boys and girls (WHO 2007).
AGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 24)
CIRCUMFERENCES = (
    *(341.7, 369.1, 386.9, 400.2, 411.1, 420.1, 427.7, 434.0, 439.5),
    *(444.1, 448.2, 451.7, 454.8, 462.3, 468.1, 477.2),
)
# Standard deviation over the median: 2.8 % within a sex, and the sexes 2.5 % apart.
CIRCUMFERENCE_SPREAD = 0.031

# Months that the metopic suture takes to close, and mm2 of a fontanelle at birth.
METOPIC_TAKES = 4.0
FONTANELLE = 1000.0

# The grid on which the surface of the truth is found, mm: about 1400 points.
SURFACE_STEP = 7.5
LOW, HIGH = (-80.0, -95.0, -60.0), (80.0, 95.0, 100.0)

# Points that the frontal mode moves further than this are the forehead, mm.
FOREHEAD_MOVES = 2.0

# What the shape has without its pose; and the number of the truth that raters judge.
SHAPE_PARAMETERS = (
    *("frontal", "posterior", "circumference", "cephalic_index", "height", "flattening"),
    *(f"unevenness_{number:02d}" for number in range(1, len(UNEVEN_AT) + 1)),
)
SEVERITY = "severity"


@dataclass(frozen=True)
class CraniumOptions:
    """Options of the cranial population.

    A range is (low, high), drawn as a normal truncated at two standard deviations.
    """

    controls: int = 93
    metopic: int = 27
    size: tuple[int, int, int] = (128, 128, 128)  # voxels along z, y, x
    spacing: float = 1.7  # mm

    severity: Range = (0.2, 1.0)  # of the metopic, within 0 to 1; controls have 0
    forehead: Range = (-0.35, 0.35)  # natural variation of the forehead, in units of severity
    occiput: Range = (-0.35, 0.35)  # and of the width of the back of the head
    age: Range = (5.0, 15.0)  # months
    circumference_score: Range = (-2.0, 2.0)  # standard deviations from the median of the age
    cephalic_index: Range = (0.73, 0.93)  # width over length of the skull, before the other modes
    height: Range = (0.94, 1.06)  # relative to what the circumference makes one expect
    flattening: Range = (-3.5, 3.5)  # mm; positive: of the right occiput
    unevenness: Range = (-2.0, 2.0)  # mm outwards, at each of twelve places

    thickness: Range = (1.8, 3.2)  # mm of the vault
    bone: Range = (650.0, 950.0)  # HU
    subarachnoid: Range = (1.0, 4.0)  # mm of fluid over the brain
    suture_width: Range = (1.0, 2.4)  # mm
    metopic_closure: Range = (1.5, 9.0)  # months at which it has closed in controls
    fontanelle_closure: Range = (5.5, 25.5)  # months

    rotation: Range = (-8.0, 8.0)  # degrees, about each axis
    shift: Range = (-6.0, 6.0)  # mm, along each axis
    blur: Range = (0.6, 1.0)  # mm, standard deviation of the point spread
    noise: Range = (4.0, 10.0)  # HU

    raters: int = 16
    rater_bias: Range = (-0.8, 0.8)  # points of the scale
    rater_noise: float = 0.7  # standard deviation of a rater's single score, points
    panel_noise: float = 0.5  # of what all raters see wrong in a subject, points


def simulate(folder: str | os.PathLike, truth: str | os.PathLike, seed: int, **options) -> None:
    """Write cranial CT as a user's folder, with segmentations and ratings, and how it was made.

    `subjects.csv` has `group` (control or metopic) and `age_months`; `ratings.csv` has `subject`,
    `rater` and `score` (0 to 5) of the metopic. The segmentation is the cranium: bone and what it
    encloses, closed below by the skull base.

    The truth table holds `metopic` (0 or 1), `severity`, `forehead` and `occiput`, `frontal` and
    `posterior` (severity plus the one or the other: what the shape has), `age`,
    `circumference_score`, `circumference` mm, `cephalic_index`, `height`, `flattening` mm,
    `unevenness_01` to `_12` mm, `thickness` mm, `bone` HU, `subarachnoid` mm, `suture_width` mm,
    `metopic_open` (share of the suture), `fontanelle` mm2, `rotation_x` to `_z` degrees,
    `shift_x` to `_z` mm, `blur` mm and `noise` HU. The shape without its pose is in `frontal`,
    `posterior`, `circumference`, `cephalic_index`, `height`, `flattening` and `unevenness_*`,
    all of which vary in controls too. The surface's region `forehead` is 1 at the points that the
    frontal mode moves by more than 2 mm at a severity of one.

    Arguments:
        folder: where `subjects.csv`, `images/`, `segmentations/` and `ratings.csv` go.
        truth: path of the table of generating parameters.
        seed: the configuration's seed; each subject derives its own from it.
        options: fields of `CraniumOptions`.
    Raises:
        InputError: for an unknown option, a bad value, or a scan too small for a head.
    """
    read = read_options(CraniumOptions(), options, "cranium")
    _require_sound(read)
    points, triangles = surface(cranium, LOW, HIGH, SURFACE_STEP)
    moved = np.linalg.norm(forehead(points), axis=-1)
    subjects = draw_subjects(seed, read)
    _require_room(subjects, points, read)
    write_volumes(
        folder,
        truth,
        _scans(seed, subjects, points, read),
        len(subjects),
        "Simulating crania",
        triangles,
        regions={"forehead": np.uint8(moved > FOREHEAD_MOVES)},
        tables={"ratings.csv": rate(seed, subjects, read)},
    )


class Subject(NamedTuple):
    """One subject to be: `index` counts within the group, and derives the seed."""

    name: str
    group: str
    index: int
    parameters: Mapping[str, float]


def draw_subjects(seed: int, options: CraniumOptions) -> list[Subject]:
    """Every subject's parameters; the order of the ids tells nothing about the group."""
    groups = ["control"] * options.controls + ["metopic"] * options.metopic
    indices = [*range(options.controls), *range(options.metopic)]
    order = np.random.default_rng(derive_seed(seed, "cranium", "order")).permutation(len(groups))
    subjects = []
    for number, at in enumerate(order, start=1):
        random = _random(seed, groups[at], indices[at], "shape")
        parameters = draw_parameters(groups[at], options, random)
        subjects.append(Subject(f"cranium_{number:03d}", groups[at], indices[at], parameters))
    return subjects


def draw_parameters(
    group: str, options: CraniumOptions, random: np.random.Generator
) -> dict[str, float]:
    """The truth of one subject, see `simulate`."""
    names = ("forehead", "occiput", "age", "circumference_score", "cephalic_index", "height")
    names += ("flattening", "thickness", "bone", "subarachnoid", "suture_width", "blur", "noise")
    severity = draw(random, options.severity) if group == "metopic" else 0.0
    drawn = {name: draw(random, getattr(options, name)) for name in names}
    age = drawn["age"]
    closure = draw(random, options.metopic_closure)
    fontanelle_closure = draw(random, options.fontanelle_closure)
    opened = np.clip((closure - age) / METOPIC_TAKES, 0, 1) if group == "control" else 0.0
    spread = 1 + CIRCUMFERENCE_SPREAD * drawn["circumference_score"]
    truth = {
        "metopic": float(group == "metopic"),
        "severity": severity,
        **drawn,
        "frontal": severity + drawn["forehead"],
        "posterior": severity + drawn["occiput"],
        "circumference": float(np.interp(age, AGES, CIRCUMFERENCES)) * spread,
        "metopic_open": float(opened),
        "fontanelle": FONTANELLE * max(0.0, 1 - age / fontanelle_closure),
    }
    for number in range(1, len(UNEVEN_AT) + 1):
        truth[f"unevenness_{number:02d}"] = draw(random, options.unevenness)
    for axis in "xyz":
        truth[f"rotation_{axis}"] = draw(random, options.rotation)
        truth[f"shift_{axis}"] = draw(random, options.shift)
    return truth


def rate(seed: int, subjects: Sequence[Subject], options: CraniumOptions) -> pd.DataFrame:
    """(`subject`, `rater`, `score`) of the metopic subjects by every rater, whole numbers 0 to 5.

    A score is five times the severity, plus what all raters see wrong in a subject, the rater's
    bias and the noise of a single look.
    """
    biases = [
        draw(
            np.random.default_rng(derive_seed(seed, "cranium", "rater", rater)), options.rater_bias
        )
        for rater in range(options.raters)
    ]
    rows = []
    for one in subjects:
        if one.group != "metopic":
            continue
        random = _random(seed, one.group, one.index, "ratings")
        seen = 5 * one.parameters["severity"] + options.panel_noise * random.standard_normal()
        for rater, bias in enumerate(biases):
            score = seen + bias + options.rater_noise * random.standard_normal()
            name = f"R{rater + 1:02d}"
            rows.append(
                {"subject": one.name, "rater": name, "score": int(np.clip(round(score), 0, 5))}
            )
    return pd.DataFrame(rows, columns=["subject", "rater", "score"])


def _scans(
    seed: int, subjects: Sequence[Subject], points: np.ndarray, options: CraniumOptions
) -> Iterator[SimulatedVolume]:
    for one in subjects:
        random = _random(seed, one.group, one.index, "scan")
        image, segmentation = scan(one.parameters, options.size, options.spacing, random)
        labels = {"group": one.group, "age_months": f"{one.parameters['age']:.1f}"}
        yield SimulatedVolume(
            one.name,
            image,
            segmentation,
            scan_affine(options.size, options.spacing),
            labels,
            one.parameters,
            deformation(one.parameters)(points),
        )


def _random(seed: int, *stage: object) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "cranium", *stage))


def _require_sound(options: CraniumOptions) -> None:
    if options.controls + options.metopic == 0:
        raise InputError("cranium: controls and metopic must not both be 0")
    if options.severity[0] < 0 or options.severity[1] > 1:
        raise InputError(f"cranium: severity must lie within 0 to 1, not {list(options.severity)}")
    for name in ("subarachnoid", "suture_width", "blur", "noise"):
        if getattr(options, name)[0] < 0:
            raise InputError(f"cranium: {name} must not be negative")
    for name in ("rater_noise", "panel_noise"):
        if getattr(options, name) < 0:
            raise InputError(f"cranium: {name} must not be negative")
    for name in ("cephalic_index", "height", "thickness", "fontanelle_closure"):
        if getattr(options, name)[0] <= 0:
            raise InputError(
                f"cranium: {name} must be positive, not {list(getattr(options, name))}"
            )
    if not AGES[0] <= options.age[0] <= options.age[1] <= AGES[-1]:
        raise InputError(f"cranium: age must lie within 0 to 24 months, not {list(options.age)}")


def _require_room(subjects: Sequence[Subject], points: np.ndarray, options: CraniumOptions) -> None:
    """Raise InputError if the cranium of a subject leaves its scan."""
    if options.spacing <= 0:
        raise InputError(f"cranium: spacing must be positive, not {options.spacing}")
    room = options.spacing * ((np.array(options.size)[::-1] - 1) / 2 - 1)
    for one in subjects:
        reach = np.abs(deformation(one.parameters)(points)).max(axis=0)
        if (reach > room).any():
            raise InputError(
                f"cranium: the head of {one.name} leaves its scan: size {list(options.size)} at "
                f"spacing {options.spacing:g} mm is too small; take more voxels or larger ones"
            )
