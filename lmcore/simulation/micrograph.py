"""Draws a valve as a light micrograph: defocused margin, background, debris, blur, noise.

Intensities are in [0, 1] with the empty slide near 0.5. The margin of a silica valve refracts:
slightly out of focus it is a dark line with a bright halo, on the other side of focus a bright
one; oblique illumination shades it from one side.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from lmcore.simulation.ornament import Ornament, draw_face
from lmcore.simulation.valve import Placed, Pose, Valve, place


@dataclass(frozen=True)
class Appearance:
    """How the slide is lit and focused. Contrasts are shares of the range of intensities.

    Attributes:
        contrast: of everything on the valve.
        rim: of the dark line along the margin; negative for a bright one.
        halo: of the bright fringe around the valve.
        shading: of the oblique illumination.
        light: direction it comes from, degrees, 90 is from above.
        face: brightness of the valve's face over the background.
        defocus: width of rim and halo, pixels.
        blur: standard deviation of the point spread function, pixels.
        gradient: difference of the background's brightness between its ends.
        blotches: standard deviation of the background's stains.
        debris: how many particles lie around, rounded.
        noise: standard deviation of the camera's noise.
    """

    contrast: float
    rim: float
    halo: float
    shading: float
    light: float
    face: float
    defocus: float
    blur: float
    gradient: float
    blotches: float
    debris: float
    noise: float


def draw_micrograph(
    valve: Valve,
    ornament: Ornament,
    pose: Pose,
    appearance: Appearance,
    size: tuple[int, int],
    random: np.random.Generator,
) -> np.ndarray:
    """One micrograph, (height, width) intensities around [0, 1], not clipped."""
    placed = place(valve, pose, size)
    face = draw_face(valve, ornament, pose, placed, random)
    face = face + appearance.face * (1.0 - 0.7 * np.clip(placed.across, -1.0, 1.0) ** 2)
    image = placed.coverage * face * appearance.contrast
    image += appearance.contrast * _margin(placed, appearance)
    image += _debris(size, round(appearance.debris), appearance, random)
    image = gaussian_filter(image, appearance.blur)
    return 0.5 + image + _background(size, appearance, random) + _noise(size, appearance, random)


def _margin(placed: Placed, appearance: Appearance) -> np.ndarray:
    """Rim, halo and the oblique shading of the margin."""
    width = appearance.defocus
    rim = np.exp(-(((placed.depth - 0.6 * width) / width) ** 2))
    mantle = np.exp(-((np.clip(placed.depth, 0.0, None) / (3.5 * width)) ** 1.5)) * placed.coverage
    halo = np.exp(-(((placed.depth + 1.9 * width) / (1.3 * width)) ** 2))
    fringe = np.exp(-(((placed.depth + 4.5 * width) / (1.6 * width)) ** 2))
    image = appearance.halo * (halo - 0.3 * fringe) - appearance.rim * (rim + 0.25 * mantle)
    down, right = np.gradient(gaussian_filter(placed.coverage, width))
    light = np.radians(appearance.light)
    lit = -(np.cos(light) * right - np.sin(light) * down)
    return image + appearance.shading * lit / max(np.abs(lit).max(), 1e-12)


def _debris(
    size: tuple[int, int], count: int, appearance: Appearance, random: np.random.Generator
) -> np.ndarray:
    """Small refracting grains and needles, each drawn in a window of its own.

    A grain is the union of a few discs, a needle that of a row of them.
    """
    height, width = size
    image = np.zeros(size)
    scale = min(height, width) / 192.0
    for _ in range(count):
        centre = random.uniform((0.0, 0.0), (height, width))
        discs = _needle(random) if random.random() < 0.25 else random.normal(0.0, 2.2, (4, 2))
        discs = discs * random.uniform(0.5, 1.6) * scale
        thickness = random.uniform(1.2, 3.5) * scale
        strength = random.uniform(0.1, 0.6) * np.sign(appearance.rim)
        reach = np.abs(discs).max() + 4.0 * thickness
        first = np.maximum(np.floor(centre - reach), 0).astype(int)
        last = np.minimum(np.ceil(centre + reach), size).astype(int)
        rows = np.arange(first[0], last[0])[:, None, None] - centre[0] - discs[:, 0]
        columns = np.arange(first[1], last[1])[None, :, None] - centre[1] - discs[:, 1]
        distance = np.hypot(rows, columns).min(axis=-1) / thickness
        ring = (1.0 - distance**2) * np.exp(-0.5 * distance**2)
        window = image[first[0] : last[0], first[1] : last[1]]
        window -= strength * appearance.contrast * ring
    return image


def _needle(random: np.random.Generator) -> np.ndarray:
    """Discs (30, 2) in a straight row of random direction."""
    angle, half_length = random.uniform(0, np.pi), random.uniform(4.0, 14.0)
    along = np.linspace(-half_length, half_length, 30)
    return np.stack([along * np.sin(angle), along * np.cos(angle)], axis=-1)


def _background(
    size: tuple[int, int], appearance: Appearance, random: np.random.Generator
) -> np.ndarray:
    """Uneven light (a plane and a bowl) and stains of three sizes."""
    height, width = size
    x = np.linspace(-1.0, 1.0, width)[None, :]
    y = np.linspace(-1.0, 1.0, height)[:, None]
    angle, bowl = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
    light = np.cos(angle) * x + np.sin(angle) * y + bowl * (x * x + y * y - 2.0 / 3.0)
    stains = sum(
        strength * _smooth_noise(size, cells, random)
        for cells, strength in ((6, 0.9), (16, 0.6), (48, 0.4))
    )
    return appearance.gradient / 2.0 * light + appearance.blotches * stains


def _smooth_noise(size: tuple[int, int], cells: int, random: np.random.Generator) -> np.ndarray:
    """Smooth noise with about `cells` bumps along the longer axis, its deviation below one."""
    height, width = size
    step = max(size) / cells
    rows, columns = int(np.ceil(height / step)) + 3, int(np.ceil(width / step)) + 3
    fine = zoom(random.standard_normal((rows, columns)), step, order=3)
    return fine[int(step) : int(step) + height, int(step) : int(step) + width]


def _noise(
    size: tuple[int, int], appearance: Appearance, random: np.random.Generator
) -> np.ndarray:
    """Camera noise, and the grain of the mounting medium, which the optics blur."""
    white = random.standard_normal(size)
    grain = gaussian_filter(random.standard_normal(size), 1.3) * 4.6
    return appearance.noise * (0.7 * white + 0.7 * grain)
