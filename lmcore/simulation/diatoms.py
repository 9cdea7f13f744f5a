"""Four genera of diatoms as light micrographs, with the counts of the paper.

The ranges of a genus follow dimensions published for some of its species (length x width in
micrometres, striae in 10 micrometres). Each valve draws every parameter on its own, so a
combination need not occur in one species; stria densities of Fragilariforma, for which no source
was at hand, are assumed.

- Eunotia: dorsiventral, arched. E. praerupta 20-100 x 4-15 with 6-13 striae (Patrick and Reimer
  1966, The diatoms of the United States 1); E. tenella 7-28 x 3-4.5 (Lange-Bertalot, Bak and
  Witkowski 2011, Diatoms of Europe 6) with 16-18 striae.
- Fragilariforma: symmetric to both axes, no raphe, narrow axial area, rostrate to capitate
  poles. F. virescens 15-60 x 6.5-7, F. nitzschioides 19-54 x 3.5-5.5, F. bicapitata 9-51 x
  2.9-5.5, F. marylandica 16-26 x 4.7-6.1 (Diatoms of North America, diatoms.org).
- Gomphonema: heteropolar. G. truncatum 30-60 x 9-10, G. californicum 22-69 x 5.6-8.3 with 10-15
  striae, G. johnsonii 24-50 x 6.9-8.5 with 9-12, G. mexicanum 26-55 x 9-13 (diatoms.org).
- Stauroneis: a stauros across the middle. S. anceps 48-76 x 12-15, S. gracilis 68-127 x 13-22
  with 15-18 striae, S. acidoclinata 35-70 x 7.4-11.5, S. phoenicenteron 129-199 x 26-35 with
  15-18 (diatoms.org).

As on a published plate each valve is magnified to fill about the same share of its frame, so
its length in micrometres cannot be seen, its slenderness can. A straight Eunotia and a slightly
bent Fragilariforma of one slenderness then look much the same, as the paper reports.

Images are roughly aligned: the apical axis runs along x, every Eunotia
has its dorsal margin up and every Gomphonema its head pole on the left.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from lmcore.errors import InputError
from lmcore.seeds import derive_seed
from lmcore.simulation.micrograph import Appearance, draw_micrograph
from lmcore.simulation.options import Range, draw, read_options
from lmcore.simulation.ornament import Ornament
from lmcore.simulation.valve import OUTLINE_PARAMETERS, Outline, Pose, Valve
from lmcore.simulation.writing import Simulated, to_grey, write_population

# What an image can tell about the shape of the individual. Not its length: the magnification
# undoes it. Not its ornament: with stauros and raphe counted in, the genus would be given away.
SHAPE_PARAMETERS = tuple(name for name in OUTLINE_PARAMETERS if name != "length")

_ABSENT: Range = (0.0, 0.0)

EUNOTIA: Mapping[str, Range] = {
    "length": (22.0, 65.0),
    "slenderness": (3.2, 9.0),
    "arching": (0.0, 1.0),
    "curvature": (0.2, 1.1),
    "dorsiventrality": (0.1, 0.8),
    "heteropolarity": (-0.06, 0.06),
    "fullness": (2.0, 5.0),
    "protraction": (0.0, 0.16),
    "pole_width": (0.35, 0.7),
    "capitation": (0.0, 0.35),
    "undulation": (-0.1, 0.12),
    "stria_density": (8.0, 16.0),
    "stria_radiation": (0.0, 0.35),
    "stria_strength": (0.35, 0.9),
    "puncta_strength": (0.0, 0.3),
    "axial_area": _ABSENT,
    "central_area": _ABSENT,
    "raphe_strength": _ABSENT,
    "stauros_strength": _ABSENT,
    "stauros_width": _ABSENT,
    "nodule_strength": (0.4, 1.0),
}

FRAGILARIFORMA: Mapping[str, Range] = {
    **EUNOTIA,
    "length": (18.0, 56.0),
    "slenderness": (3.5, 9.0),
    "arching": (1.0, 1.0),
    "curvature": (-0.15, 0.2),
    "dorsiventrality": (-0.1, 0.14),
    "fullness": (1.8, 4.5),
    "protraction": (0.02, 0.28),
    "pole_width": (0.25, 0.6),
    "undulation": (-0.14, 0.1),
    "stria_density": (11.0, 18.0),
    "stria_radiation": (0.0, 0.2),
    "stria_strength": (0.25, 0.8),
    "axial_area": (0.02, 0.12),
    "nodule_strength": _ABSENT,
}

GOMPHONEMA: Mapping[str, Range] = {
    **FRAGILARIFORMA,
    "length": (24.0, 65.0),
    "slenderness": (3.1, 7.0),
    "curvature": (-0.1, 0.1),
    "dorsiventrality": (-0.06, 0.06),
    "heteropolarity": (0.05, 0.65),
    "fullness": (1.7, 3.2),
    "protraction": (0.0, 0.14),
    "pole_width": (0.25, 0.5),
    "capitation": (0.0, 0.25),
    "undulation": (-0.04, 0.14),
    "stria_density": (9.0, 15.0),
    "stria_radiation": (0.2, 0.9),
    "stria_strength": (0.4, 1.0),
    "puncta_strength": (0.0, 0.6),
    "axial_area": (0.1, 0.3),
    "central_area": (0.25, 0.6),
    "raphe_strength": (0.4, 1.0),
}

STAURONEIS: Mapping[str, Range] = {
    **GOMPHONEMA,
    "length": (40.0, 80.0),
    "slenderness": (3.8, 6.6),
    "curvature": (-0.08, 0.08),
    "heteropolarity": (-0.06, 0.06),
    "fullness": (1.5, 2.6),
    "protraction": (0.04, 0.22),
    "pole_width": (0.2, 0.45),
    "capitation": (0.0, 0.35),
    "undulation": (-0.05, 0.05),
    "stria_density": (13.0, 19.0),
    "stria_radiation": (0.4, 1.2),
    "stria_strength": (0.25, 0.7),
    "puncta_strength": (0.3, 0.9),
    "axial_area": (0.06, 0.16),
    "central_area": _ABSENT,
    "stauros_strength": (0.5, 1.0),
    "stauros_width": (0.02, 0.05),
}

GENERA = ("Eunotia", "Fragilariforma", "Gomphonema", "Stauroneis")


@dataclass(frozen=True)
class DiatomOptions:
    """Options of the diatom population.

    A range is (low, high), drawn as a normal truncated at two standard deviations. The four
    genera are mappings of the parameters of `Outline` and `Ornament`, and of `arching` (see
    `draw_outline`), to ranges; what is given is put over the default. The last block is that
    of `Appearance`, for every genus alike.
    """

    counts: Mapping[str, int] = field(
        default_factory=lambda: dict(zip(GENERA, (68, 100, 100, 72), strict=True))
    )
    size: tuple[int, int] = (192, 384)  # height, width in pixels

    eunotia: Mapping[str, Range] = field(default_factory=lambda: dict(EUNOTIA))
    fragilariforma: Mapping[str, Range] = field(default_factory=lambda: dict(FRAGILARIFORMA))
    gomphonema: Mapping[str, Range] = field(default_factory=lambda: dict(GOMPHONEMA))
    stauroneis: Mapping[str, Range] = field(default_factory=lambda: dict(STAURONEIS))

    rotation: Range = (-8.0, 8.0)  # degrees, clockwise as seen: a standard deviation of 4
    shift_x: Range = (-0.03, 0.03)  # share of the image's width
    shift_y: Range = (-0.04, 0.04)  # share of the image's height
    fill: Range = (0.68, 0.88)  # share of the image's width that the valve takes: its scale

    contrast: Range = (0.35, 0.8)
    rim: Range = (-0.15, 1.0)
    halo: Range = (0.05, 0.5)
    shading: Range = (0.0, 0.7)
    light: Range = (0.0, 360.0)
    face: Range = (0.0, 0.4)
    defocus: Range = (1.0, 2.6)
    blur: Range = (0.4, 1.3)
    gradient: Range = (0.0, 0.2)
    blotches: Range = (0.0, 0.05)
    debris: Range = (0.0, 16.0)
    noise: Range = (0.006, 0.03)


def simulate(folder: str | os.PathLike, truth: str | os.PathLike, seed: int, **options) -> None:
    """Write micrographs of four genera as a user's folder, and how each was made.

    The label column of `subjects.csv` is `genus`. The truth holds every parameter of `Outline`,
    `Ornament`, `Pose` and `Appearance`, and width in micrometres.

    Arguments:
        folder: where `subjects.csv` and `images/` go.
        truth: path of the table of generating parameters.
        seed: the configuration's seed; each subject derives its own from it.
        options: fields of `DiatomOptions`.
    Raises:
        InputError: for an unknown option or a bad value; the message names it.
    """
    read = read_options(DiatomOptions(), options, "diatoms")
    _require_sound(read)
    total = sum(read.counts.values())
    write_population(folder, truth, _specimens(seed, read), total, "Simulating diatoms")


def _specimens(seed: int, options: DiatomOptions) -> Iterator[Simulated]:
    for genus in GENERA:
        for index in range(options.counts[genus]):
            random = np.random.default_rng(derive_seed(seed, "diatoms", genus, index))
            image, parameters = draw_specimen(genus, options, random)
            yield Simulated(f"{genus}_{index + 1:03d}", image, {"genus": genus}, parameters)


def draw_specimen(
    genus: str, options: DiatomOptions, random: np.random.Generator
) -> tuple[np.ndarray, dict[str, float]]:
    """One valve of a genus: its micrograph (height, width) uint8 and its parameters."""
    ranges = getattr(options, genus.lower())
    outline = draw_outline(ranges, random)
    ornament = Ornament(**_draw_all(Ornament, ranges, random))
    valve = Valve(outline)
    pose = draw_pose(valve, options, random)
    appearance = Appearance(**_draw_all(Appearance, vars(options), random))
    image = draw_micrograph(valve, ornament, pose, appearance, options.size, random)
    parts = (outline, ornament, pose, appearance)
    parameters = {name: value for part in parts for name, value in asdict(part).items()}
    return to_grey(image), {"width": outline.width, **parameters}


def draw_outline(ranges: Mapping[str, Range], random: np.random.Generator) -> Outline:
    """The outline of one valve.

    `arching` multiplies curvature and dorsiventrality, which go together from species to
    species: from an almost straight valve at 0 to a lunate one at 1.
    """
    arching = draw(random, ranges["arching"])
    drawn = _draw_all(Outline, ranges, random)
    drawn["curvature"] *= arching
    drawn["dorsiventrality"] *= arching
    return Outline(**drawn)


def _draw_all(
    kind: type, ranges: Mapping[str, Range], random: np.random.Generator
) -> dict[str, float]:
    return {one.name: draw(random, ranges[one.name]) for one in fields(kind)}


def draw_pose(valve: Valve, options: DiatomOptions, random: np.random.Generator) -> Pose:
    """Rotation, shift, and the magnification at which the valve fills its share of the frame."""
    height, width = options.size
    rotation = draw(random, options.rotation)
    shift_x, shift_y = draw(random, options.shift_x), draw(random, options.shift_y)
    fill = draw(random, options.fill)
    extent_x, extent_y = np.ptp(valve.margin(), axis=0)
    magnification = fill * min(width / extent_x, height / extent_y)
    return Pose(rotation, shift_x * width, shift_y * height, float(magnification))


def _require_sound(options: DiatomOptions) -> None:
    if min(options.size) < 16:
        raise InputError(
            f"diatoms: size must be at least 16 pixels a side, not {list(options.size)}"
        )
    if sum(options.counts.values()) == 0:
        raise InputError("diatoms: counts must ask for one specimen at least")
    for name in ("noise", "debris", "blur"):
        if getattr(options, name)[0] < 0:
            raise InputError(f"diatoms: {name} must not be negative")
    for name in ("fill", "defocus"):
        if getattr(options, name)[0] <= 0:
            raise InputError(f"diatoms: {name} must be positive, not {getattr(options, name)}")
    for genus in GENERA:
        ranges = getattr(options, genus.lower())
        for name in ("length", "slenderness", "stria_density", "pole_width"):
            if ranges[name][0] <= 0:
                raise InputError(f"diatoms: {genus.lower()}.{name} must be positive")
