"""The outline of a pennate diatom valve, coordinates on it, and its place in an image.

One model for every genus, so that a parameter means the same on each of them. The valve lies
along its apical axis; the half-width h along that axis is a body, lanceolate to linear, joined
smoothly to two poles, rounded to capitate. The axis itself may bend in a circular arc.

Positions on a valve are (s, n): s the arc length along the axis from its middle, positive
towards the foot pole, n the distance from the axis, positive towards the dorsal margin.
Positions in its own plane are (x, y) with y up, the foot pole at positive x and the dorsal
margin at positive y. All lengths are in micrometres.
"""

from dataclasses import dataclass, fields

import numpy as np

# How sharply body and pole join: the exponent of the p-norm that is taken of the two.
JOIN = 4
# The body's widest place moves towards the head pole by this share of the half length per unit.
WIDEST_SHIFT = 0.3


@dataclass(frozen=True)
class Outline:
    """Shape of one valve.

    Attributes:
        length: of the apical axis from pole to pole, along its bend, micrometres.
        slenderness: length over width, the width the widest extent across the axis.
        curvature: angle through which the axis turns from pole to pole, radians, positive for
            a convex dorsal margin. A slightly bent axis has a sagitta of length x curvature / 8.
        dorsiventrality: how much more the dorsal margin bulges than the ventral one: they are
            h (1 + d) and h (1 - d) from the axis. At 1 the ventral margin follows the axis.
        heteropolarity: how much broader the head pole is: pole widths are as (1 + e) : (1 - e),
            and the body is widest 0.3 e of the half length from the middle towards the head pole.
        fullness: exponent p of the body 1 - |u|^p: 2 lanceolate, 4 and more linear. Towards
            the head pole it is p 2^e, towards the foot pole p 2^-e.
        protraction: share of the half length that the drawn-out pole takes, 0 for none.
        pole_width: of the drawn-out poles, share of the valve's width.
        capitation: how much a pole widens into a head, share of its own width.
        undulation: amplitude of the wave of the margin, share of the width; positive for a
            swollen middle between two constrictions, negative for a constricted middle.
    """

    length: float
    slenderness: float
    curvature: float = 0.0
    dorsiventrality: float = 0.0
    heteropolarity: float = 0.0
    fullness: float = 2.0
    protraction: float = 0.0
    pole_width: float = 0.3
    capitation: float = 0.0
    undulation: float = 0.0

    @property
    def width(self) -> float:
        return self.length / self.slenderness


OUTLINE_PARAMETERS = tuple(field.name for field in fields(Outline))


class Valve:
    """An outline made measurable: half-widths, margins and coordinates.

    The squared half-width is tabulated once along the axis; beyond the poles it goes on
    smoothly below zero, which makes `level` a smooth function whose zero is the margin.
    """

    def __init__(self, outline: Outline, samples: int = 1601):
        self.outline = outline
        self.positions = np.linspace(-1.25, 1.25, samples)
        squared = _squared_half_width(self.positions, outline)
        self.squared = squared / squared.max() * (outline.width / 2.0) ** 2

    def half_width(self, s: np.ndarray) -> np.ndarray:
        """Half-width h at arc lengths s, zero beyond the poles."""
        return np.sqrt(np.clip(self._squared_at(s), 0.0, None))

    def level(self, s: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Positive inside the valve, zero on its margin, negative outside; micrometres squared."""
        squared = self._squared_at(s)
        middle = self.outline.dorsiventrality * np.sqrt(np.clip(squared, 0.0, None))
        return squared - (n - middle) ** 2

    def across(self, s: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Position across the valve: -1 on the ventral and 1 on the dorsal margin."""
        half_width = np.maximum(self.half_width(s), 1e-6 * self.outline.width)
        return n / half_width - self.outline.dorsiventrality

    def margin(self, samples: int = 400) -> np.ndarray:
        """Points (2 samples, 2) in the plane around the valve, from the head pole, dorsal first."""
        # cosine spacing: the margin turns fastest at the poles
        s = -np.cos(np.linspace(0.0, np.pi, samples)) * self.outline.length / 2.0
        half_width, d = self.half_width(s), self.outline.dorsiventrality
        dorsal = self.to_plane(s, half_width * (1.0 + d))
        ventral = self.to_plane(s, -half_width * (1.0 - d))
        return np.concatenate([dorsal, ventral[::-1]])

    def to_plane(self, s: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Plane positions (..., 2) of valve positions; the middle of the axis is the origin."""
        turn = self.outline.curvature / self.outline.length * s
        # s sinc(turn) and s (1 - cos turn) / turn, written so that a straight axis is no exception
        x = s * np.sinc(turn / np.pi) + n * np.sin(turn)
        y = n * np.cos(turn) - s * np.sin(turn / 2.0) * np.sinc(turn / (2.0 * np.pi))
        return np.stack([x, y], axis=-1)

    def from_plane(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Valve positions (s, n) of plane positions, the inverse of `to_plane`."""
        bend = self.outline.curvature / self.outline.length
        if abs(self.outline.curvature) < 1e-9:
            return x, y
        along, towards = bend * x, 1.0 + bend * y
        s = np.arctan2(along, towards) / bend
        n = (bend * (x * x + y * y) + 2.0 * y) / (np.hypot(along, towards) + 1.0)
        return s, n

    def _squared_at(self, s: np.ndarray) -> np.ndarray:
        return np.interp(s / (self.outline.length / 2.0), self.positions, self.squared)


@dataclass(frozen=True)
class Pose:
    """Where the valve lies in the image.

    Attributes:
        rotation: degrees, clockwise as the image is seen.
        shift_x, shift_y: of the valve's bounding box from the image's centre, pixels.
        magnification: pixels a micrometre.
    """

    rotation: float
    shift_x: float
    shift_y: float
    magnification: float


@dataclass(frozen=True)
class Placed:
    """A valve on the pixels of an image: all arrays are (height, width).

    Attributes:
        s, n: valve coordinates in micrometres.
        across: -1 on the ventral to 1 on the dorsal margin.
        depth: distance to the margin in pixels, positive inside; exact to first order at it.
        coverage: share of the pixel that the valve covers, 0 to 1.
    """

    s: np.ndarray
    n: np.ndarray
    across: np.ndarray
    depth: np.ndarray
    coverage: np.ndarray


def place(valve: Valve, pose: Pose, size: tuple[int, int]) -> Placed:
    """Coordinates of every pixel on the valve; y is down in the image and up on the valve."""
    height, width = size
    margin = valve.margin()
    middle = (margin.min(axis=0) + margin.max(axis=0)) / 2.0
    right = np.arange(width)[None, :] - (width - 1) / 2.0 - pose.shift_x
    down = np.arange(height)[:, None] - (height - 1) / 2.0 - pose.shift_y
    cos, sin = np.cos(np.radians(pose.rotation)), np.sin(np.radians(pose.rotation))
    x = (cos * right + sin * down) / pose.magnification + middle[0]
    y = (sin * right - cos * down) / pose.magnification + middle[1]
    s, n = valve.from_plane(x, y)
    level = valve.level(s, n)
    slope = np.hypot(*np.gradient(level))
    depth = level / np.maximum(slope, 1e-12)
    coverage = np.clip(0.5 + depth, 0.0, 1.0)
    return Placed(s, n, valve.across(s, n), depth, coverage)


def _squared_half_width(a: np.ndarray, outline: Outline) -> np.ndarray:
    """Squared half-width, up to a factor, at axis positions a: -1 the head, 1 the foot pole."""
    body = _body(a, outline)
    pole = _squared_pole(a, outline)
    return np.where(pole > 0.0, np.sqrt(body**JOIN + pole**2), pole)


def _body(a: np.ndarray, outline: Outline) -> np.ndarray:
    """The body's half-width: 1 at the widest place, 0 where the poles begin."""
    widest = -WIDEST_SHIFT * outline.heteropolarity
    head = a < widest
    reach = np.where(head, 1.0 + widest, 1.0 - widest) - outline.protraction
    exponent = outline.fullness * 2.0 ** np.where(
        head, outline.heteropolarity, -outline.heteropolarity
    )
    body = np.clip(1.0 - (np.abs(a - widest) / reach) ** exponent, 0.0, None)
    wave = np.cos(2.0 * np.pi * a) * np.clip(1.0 - a * a, 0.0, None)
    return body * (1.0 + outline.undulation * wave)


def _squared_pole(a: np.ndarray, outline: Outline) -> np.ndarray:
    """The poles' squared half-width, a stem with a round cap, negative beyond |a| = 1."""
    stem = outline.pole_width * (1.0 - outline.heteropolarity * a)
    # the cap is as deep as it is wide, in units of the half length
    cap = np.minimum(stem * (1.0 + outline.capitation) / outline.slenderness, 0.9)
    into_cap = (np.abs(a) - (1.0 - cap)) / cap
    head = 1.0 + outline.capitation * np.exp(-((into_cap / 1.2) ** 2))
    return (stem * head) ** 2 * (1.0 - np.clip(into_cap, 0.0, None) ** 2)
