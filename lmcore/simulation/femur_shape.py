"""How femurs differ: smooth modes of the common anatomy, and the bump of cam impingement."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from lmcore.simulation.deformation import Displacement
from lmcore.simulation.femur_anatomy import (
    ANTERIOR,
    ANTEVERSION,
    GREATER_TROCHANTER,
    HEAD,
    HEAD_RADIUS,
    LESSER_TROCHANTER,
    NECK,
    NECK_SHAFT_ANGLE,
    NECK_WIDTH,
    SHAFT_DIAMETER,
    SUPERIOR,
    femur,
    femur_surface,
    ramp,
)

# The places on the surface that stand out or recede in one femur and not in another
UNEVEN_PLACES = 36
UNEVEN_WIDTH = 10.0  # mm, standard deviation
# Share of it on the head, which is a better sphere than the rest is anything
HEAD_UNEVEN = 0.3


@dataclass(frozen=True)
class Shape:
    """One femur before its size and pose. Angles in degrees, lengths in mm.

    Attributes:
        neck_shaft_angle, anteversion: of the neck's axis.
        neck_length: from the shaft's axis to the head's centre.
        neck_width: from the neck's upper to its lower margin.
        head_radius, shaft_diameter: outer.
        greater_trochanter, lesser_trochanter: how far the tip stands out beyond the usual.
        uneven: (UNEVEN_PLACES) how far the surface stands out at the places, outward.
    """

    neck_shaft_angle: float
    anteversion: float
    neck_length: float
    neck_width: float
    head_radius: float
    shaft_diameter: float
    greater_trochanter: float
    lesser_trochanter: float
    uneven: np.ndarray

    def displacement(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) how far points (..., 3) of the common anatomy move.

        Beyond the neck the head moves rigidly and is scaled about its centre, so that its radius
        and the axis of the neck are exact. Joint and pelvis follow the head.
        """
        turn, moved = self._turn()
        along, at_head = points @ NECK, points - HEAD
        apart = np.linalg.norm(at_head, axis=-1)
        growth = (self.head_radius / HEAD_RADIUS - 1.0) * ramp(along, 16.0, 34.0)
        grown = (growth * (1.0 - ramp(apart, 32.0, 64.0)))[..., None] * at_head
        # far from the head only its movement is left of the turn, whose lever would fold
        near = 1.0 - ramp(apart, 34.0, 100.0)
        turned = near[..., None] * ((at_head + grown) @ (turn - np.eye(3)).T)
        bent = ramp(along, -8.0, 28.0)[..., None] * (moved + turned)
        return grown + bent + self._widening(points, along) + self._local(points)

    def _turn(self) -> tuple[np.ndarray, np.ndarray]:
        """(3, 3) rotation of the head and (3,) movement of its centre."""
        axis = np.cross(NECK, [0.0, 0.0, 1.0])
        axis /= np.linalg.norm(axis)
        up = Rotation.from_rotvec(np.radians(self.neck_shaft_angle - NECK_SHAFT_ANGLE) * axis)
        about = Rotation.from_rotvec([0.0, 0.0, np.radians(self.anteversion - ANTEVERSION)])
        turn = (about * up).as_matrix()
        return turn, self.neck_length * (turn @ NECK) - HEAD

    def _widening(self, points: np.ndarray, along: np.ndarray) -> np.ndarray:
        """Neck and shaft scaled about their axes."""
        across = points - along[..., None] * NECK
        neck = (self.neck_width / NECK_WIDTH - 1.0) * np.exp(-np.square((along - 18.0) / 9.0) / 2)
        neck *= 1.0 - ramp(np.linalg.norm(across, axis=-1), 20.0, 40.0)
        radius = np.hypot(points[..., 0], points[..., 1])
        shaft = (self.shaft_diameter / SHAFT_DIAMETER - 1.0) * (1.0 - ramp(radius, 20.0, 45.0))
        shaft *= 1.0 - ramp(points[..., 2], -32.0, -4.0)
        level = np.array([1.0, 1.0, 0.0])
        return neck[..., None] * across + shaft[..., None] * points * level

    def _local(self, points: np.ndarray) -> np.ndarray:
        """The trochanters and the unevenness: a sum of Gaussian bumps, as one matrix product."""
        places, outward = uneven_places()
        centres = np.vstack([GREATER_TROCHANTER, LESSER_TROCHANTER, places])
        widths = np.array([11.0, 7.0] + [UNEVEN_WIDTH] * UNEVEN_PLACES)
        greater = self.greater_trochanter * np.array([-0.45, -0.2, 0.87])
        lesser = self.lesser_trochanter * np.array([0.5, -0.86, 0.0])
        vectors = np.vstack([greater, lesser, self.uneven[:, None] * outward])
        # single precision errs by 1e-5 mm and takes a third of the time
        flat, centres = np.float32(points.reshape(-1, 3)), np.float32(centres)
        squared = flat @ (-2.0 * centres.T)
        squared += np.square(flat) @ np.ones((3, 1), dtype=np.float32)
        squared += np.square(centres).sum(axis=-1)
        squared *= np.float32(-0.5 / widths**2)
        weights = np.exp(squared, out=squared)
        return (weights @ np.float32(vectors)).reshape(points.shape)


@dataclass(frozen=True)
class Bump:
    """Where the head-neck junction bulges in cam impingement.

    A Gaussian in surface coordinates: along the neck's axis and around it. It displaces along
    the surface's outward normal at its centre, which turns with the angle around the neck.

    Attributes:
        clock: hours on the clock face of the neck, 12 is superior and 3 anterior.
        along, around: standard deviations on the surface, mm.
    """

    clock: float
    along: float
    around: float

    # Where head and neck meet, on the neck's axis
    JUNCTION = 33.0

    @functools.cached_property
    def _frame(self) -> tuple[np.ndarray, float, float]:
        """Direction from the axis, radius and tilt of the normal at the centre (radians)."""
        angle = np.radians(30.0 * self.clock)
        out = np.cos(angle) * SUPERIOR + np.sin(angle) * ANTERIOR
        radius = 0.0
        for _ in range(50):
            radius -= float(femur(self.JUNCTION * NECK + radius * out))
        centre, step = self.JUNCTION * NECK + radius * out, 1e-3
        rise = femur(centre + step * out) - femur(centre - step * out)
        slope = femur(centre + step * NECK) - femur(centre - step * NECK)
        return out, radius, float(np.arctan2(slope, rise))

    @property
    def centre(self) -> np.ndarray:
        """(3,) on the surface of the common anatomy."""
        out, radius, _ = self._frame
        return self.JUNCTION * NECK + radius * out

    def field(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share (...) of its height and direction (..., 3) at points (..., 3).

        The share falls to zero on the neck's axis and away from the surface.
        """
        out, radius, tilt = self._frame
        along = points @ NECK
        across = points - along[..., None] * NECK
        apart = np.linalg.norm(across, axis=-1)
        away = across / np.maximum(apart, 1e-9)[..., None]
        depth = np.square(apart / radius)
        share = np.exp(
            -np.square((along - self.JUNCTION) / self.along) / 2
            - (radius / self.around) ** 2 * (1.0 - away @ out)
        )
        share *= depth * np.exp(1.0 - depth)
        return share, np.cos(tilt) * away + np.sin(tilt) * NECK

    def displacement(self, height: float) -> Displacement:
        """That raises the surface at the centre by `height` mm."""

        def displacement(points: np.ndarray) -> np.ndarray:
            share, direction = self.field(points)
            return height * share[..., None] * direction

        return displacement


@functools.cache
def uneven_places() -> tuple[np.ndarray, np.ndarray]:
    """Points (UNEVEN_PLACES, 3) spread over the femur's surface, and their outward directions.

    A direction's length is the share of the unevenness drawn that shows at the place.
    """
    vertices, _ = femur_surface()
    chosen = [0]
    nearest = np.full(len(vertices), np.inf)
    while len(chosen) < UNEVEN_PLACES:
        apart = np.linalg.norm(vertices - vertices[chosen[-1]], axis=-1)
        nearest = np.minimum(nearest, apart)
        chosen.append(int(nearest.argmax()))
    places, step = vertices[chosen], 1e-3
    normals = np.stack(
        [femur(places + offset) - femur(places - offset) for offset in step * np.eye(3)], axis=-1
    )
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    share = 1.0 - (1.0 - HEAD_UNEVEN) * ramp(places @ NECK, 34.0, 44.0)
    return places, share[:, None] * normals
