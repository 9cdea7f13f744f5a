"""The ornament of a pennate diatom valve: striae, raphe, stauros, nodules."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from lmcore.simulation.valve import Placed, Pose, Valve


@dataclass(frozen=True)
class Ornament:
    """What is on the valve's face. Strengths are from 0, absent, to 1.

    Attributes:
        stria_density: striae in 10 micrometres, on the axis.
        stria_radiation: slope of the striae against the transapical direction at the poles,
            outwards towards the pole; in between it grows with the distance from the middle.
        stria_strength: contrast of the striae.
        puncta_strength: how much a stria is broken into areolae.
        axial_area: half-width of the area without striae along the axis, share of h.
        central_area: half-length of the rounded area without striae in the middle, share of the
            valve's half-width.
        raphe_strength: contrast of the raphe along the axis, broken at the central nodule.
        stauros_strength: contrast of the stauros, the thickened band across the middle that
            reaches both margins.
        stauros_width: width of that band on the axis, share of the valve's length.
        nodule_strength: contrast of the terminal nodules by the ventral margin near the poles.
    """

    stria_density: float
    stria_radiation: float
    stria_strength: float
    puncta_strength: float
    axial_area: float
    central_area: float
    raphe_strength: float
    stauros_strength: float
    stauros_width: float
    nodule_strength: float


def draw_face(
    valve: Valve, ornament: Ornament, pose: Pose, placed: Placed, random: np.random.Generator
) -> np.ndarray:
    """Ornament of the valve's face, contrasts of about [-1, 1] around 0."""
    half_width = valve.outline.width / 2.0
    clear = _clear_area(valve, ornament, placed)
    face = _striae(valve, ornament, pose, placed, random) * (1.0 - clear) + 0.12 * clear
    if ornament.stauros_strength > 0.0:
        face += ornament.stauros_strength * _stauros_relief(valve, ornament, placed)
    face += ornament.raphe_strength * _raphe(valve, ornament, pose, placed)
    if ornament.nodule_strength > 0.0:
        face += ornament.nodule_strength * _terminal_nodules(valve, placed, half_width)
    return face


def _widest(valve: Valve) -> float:
    """Arc length of the middle of the striation: the widest place of the valve."""
    widest = valve.positions[valve.squared.argmax()]
    # a constricted middle has two widest places; the nodule is between them
    return float(widest * valve.outline.length / 2.0) if abs(widest) < 0.25 else 0.0


def _clear_area(valve: Valve, ornament: Ornament, placed: Placed) -> np.ndarray:
    """Where there are no striae, 0 to 1: axial area, central area and stauros."""
    across = np.abs(placed.across)
    clear = _step(ornament.axial_area - across, 0.05) if ornament.axial_area > 0.0 else 0.0
    if ornament.central_area > 0.0:
        radius = ornament.central_area * valve.outline.width / 2.0
        from_middle = np.hypot((placed.s - _widest(valve)) / radius, across / 0.75)
        clear = np.maximum(clear, _step(1.0 - from_middle, 0.15))
    if ornament.stauros_strength > 0.0:
        clear = np.maximum(clear, _stauros(valve, ornament, placed))
    return clear


def _striae(
    valve: Valve, ornament: Ornament, pose: Pose, placed: Placed, random: np.random.Generator
) -> np.ndarray:
    """Rows of areolae across the valve; what the pixels cannot resolve fades."""
    across = np.abs(np.clip(placed.across, -1.2, 1.2))
    middle = _widest(valve)
    from_axis = across * valve.half_width(placed.s) / (valve.outline.length / 2.0)
    on_axis = (placed.s - middle) / (1.0 + ornament.stria_radiation * from_axis)
    # no valve is ruled: the spacing wanders along the axis, and differs a little between sides
    places = np.linspace(-0.6, 0.6, 25) * valve.outline.length
    wander = gaussian_filter(random.standard_normal((2, 25)), (0.0, 1.0)) * 0.6
    dorsal = np.interp(on_axis, places, wander[0])
    ventral = np.interp(on_axis, places, wander[0] + 0.5 * wander[1])
    density = ornament.stria_density / 10.0
    phase = 2.0 * np.pi * density * on_axis + np.where(placed.across > 0.0, dorsal, ventral)
    wave = np.cos(phase) * _resolved(density / pose.magnification)
    # areolae stand about twice as dense within a stria as the striae do
    puncta = np.cos(4.0 * np.pi * density * placed.n) * _resolved(2 * density / pose.magnification)
    strength = 1.0 - ornament.puncta_strength * (0.5 - 0.5 * puncta)
    near_margin = 0.75 + 0.35 * across
    return ornament.stria_strength * wave * strength * near_margin


def _resolved(cycles_per_pixel: float) -> float:
    """Share of a wave's amplitude that a pixel grid still carries, 0 from 0.45 cycles on."""
    return float(np.clip(1.0 - (cycles_per_pixel / 0.45) ** 2, 0.0, 1.0))


def _stauros(valve: Valve, ornament: Ornament, placed: Placed) -> np.ndarray:
    """The stauros as a mask of 0 to 1; it widens towards the margins."""
    half = ornament.stauros_width * valve.outline.length / 2.0
    return _step(half - _from_stauros(valve, placed), 0.25 * half)


def _stauros_relief(valve: Valve, ornament: Ornament, placed: Placed) -> np.ndarray:
    """The stauros as seen: a bright ridge between two dark flanks, brightest at the nodule."""
    half = ornament.stauros_width * valve.outline.length / 2.0
    distance = _from_stauros(valve, placed) / half
    ridge = 0.35 * np.exp(-(distance**4)) - 0.3 * np.exp(-(((distance - 1.15) / 0.3) ** 2))
    return ridge * (1.0 - 0.3 * np.abs(np.clip(placed.across, -1.0, 1.0)))


def _from_stauros(valve: Valve, placed: Placed) -> np.ndarray:
    """Distance from the valve's middle along the axis, less where the stauros flares."""
    flare = 1.0 + 0.4 * np.clip(np.abs(placed.across), 0.0, 1.0) ** 2
    return np.abs(placed.s - _widest(valve)) / flare


def _raphe(valve: Valve, ornament: Ornament, pose: Pose, placed: Placed) -> np.ndarray:
    """Two slits along the axis between bright ribs, with a central and two polar nodules."""
    half_length, half_width = valve.outline.length / 2.0, valve.outline.width / 2.0
    d = valve.outline.dorsiventrality
    from_axis = placed.n - d * valve.half_width(placed.s)
    slit = max(0.045 * half_width, 0.7 / pose.magnification)
    profile = 0.35 * np.exp(-((from_axis / (2.6 * slit)) ** 2))
    profile -= 0.75 * np.exp(-((from_axis / slit) ** 2))
    from_middle = np.abs(placed.s - _widest(valve))
    gap = max(0.12 * half_width, ornament.stauros_width * valve.outline.length * 0.3)
    along = _step(from_middle - gap, 0.3 * gap) * _step(
        0.94 * half_length - np.abs(placed.s), 0.02 * half_length
    )
    pores = np.exp(-((from_middle - gap) ** 2 + from_axis**2) / (2.0 * slit) ** 2)
    return profile * along - 0.35 * pores


def _terminal_nodules(valve: Valve, placed: Placed, half_width: float) -> np.ndarray:
    """Dark spots near both poles by the ventral margin, where a short raphe turns in."""
    at = 0.93 * valve.outline.length / 2.0
    ventral = -0.45 * valve.half_width(np.array(at)) * (1.0 - valve.outline.dorsiventrality)
    radius = 0.16 * half_width
    from_pole = np.abs(placed.s) - at
    spots = np.exp(-(from_pole**2 + (placed.n - ventral) ** 2) / radius**2)
    lit = np.exp(-((from_pole + 1.6 * radius) ** 2 + (placed.n - ventral) ** 2) / radius**2)
    return 0.4 * lit - 0.8 * spots


def _step(value: np.ndarray, softness: float) -> np.ndarray:
    """0 below, 1 above zero, with a smooth passage of width `softness`."""
    t = np.clip(value / (2.0 * max(softness, 1e-9)) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
