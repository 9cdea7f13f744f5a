"""Corresponding points by coherent point drift, in place of ShapeWorks; it is not ShapeWorks.

A template's points are drawn to every subject's surface by deformable coherent point drift
(A. Myronenko, X. Song, "Point set registration: coherent point drift", IEEE TPAMI 32(12), 2010,
as biocpd has it) and put onto the zero level of the subject's distance transform. The template
is a typical training shape first, then the mean of the training shapes.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from lmcore.particles.surface import DistanceField, sample_mesh, spread_points
from lmcore.points.procrustes import align, generalised_procrustes
from lmcore.points.thinning import farthest_points
from lmcore.population.parallel import map_in_order
from lmcore.progress import Progress
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

ROUNDS = 3
SETTLED = 0.2  # voxels that the mean shape may still move, root mean square
# Stiff and wide, in units of the template's size: correspondence on simulated femurs is best
# where the deformation is nearly affine, and the projection adds what is local
STIFFNESS, WIDTH = 10.0, 3.0
# So many of the points carry the deformation: solving for it costs their cube. The others follow
# the same field, which is a sum of Gaussians at these ones
CARRIERS = 512
TARGETS = 4  # points on the subject's surface for each carrier
ITERATIONS, TOLERANCE = 60, 1e-5  # of the variance, in units of the template's size
# Six numbers need fewer points than a deformation: so many carriers, and targets for each
RIGID_POINTS, RIGID_ITERATIONS = 128, 30

Field = Callable[[int], DistanceField]


class Correspondence(NamedTuple):
    """Points of a population.

    Attributes:
        points: (N, M, 3) mm on the grid, on each subject's surface.
        rounds: how often the template was estimated from the mean shape.
    """

    points: np.ndarray
    rounds: int


def parameters() -> dict[str, float]:
    """What decides the points but for their number, for the record."""
    return {
        "stiffness": STIFFNESS,
        "width": WIDTH,
        "carriers": CARRIERS,
        "targets_per_carrier": TARGETS,
        "iterations": ITERATIONS,
        "tolerance": TOLERANCE,
        "rounds_at_most": ROUNDS,
    }


def correspond(
    field_of: Field,
    subjects: Sequence[str],
    training: Sequence[int],
    medoid: int,
    count: int,
    seed: int,
    workers: int = 1,
) -> Correspondence:
    """Corresponding points on the surfaces of a population.

    Every subject, whether of the training or not, is registered alone to the same template, which
    the training subjects alone decide: no other has an influence on it, nor on each other.

    Arguments:
        field_of: the distance transform of a subject, by its position.
        subjects: (N) ids; a subject's own decides how its surface is sampled.
        training: positions of the subjects that make the template.
        medoid: position of the first template, one of `training`.
        count: M.
        workers: threads, one subject each; they do not change the result.
    """

    everyone = range(len(subjects))

    def target(subject: int) -> np.ndarray:
        wanted = TARGETS * min(count, CARRIERS)
        own_seed = derive_seed(seed, "surface", subjects[subject])
        cloud = sample_mesh(field_of(subject).mesh(), 4 * wanted, own_seed)
        return cloud[farthest_points(cloud, wanted)]

    with threadpool_limits(1):  # small matrices: threads over subjects instead
        targets = _each("Sampling surfaces", target, everyone, workers)
        first = field_of(medoid)
        template = spread_points(first, count, derive_seed(seed, "template"))

        def fit(subject: int) -> np.ndarray:
            return register(template, targets[subject], field_of(subject))

        for done in range(1, ROUNDS + 1):
            what = f"Coherent point drift, template {done}"
            mean, _ = generalised_procrustes(np.stack(_each(what, fit, training, workers)))
            turned = align(template, mean)(template)
            moved = np.sqrt(np.square(mean - turned).sum(axis=1).mean()) / first.spacing
            template = mean
            logger.info(f"the template moved by {moved:.2f} voxels to the mean training shape")
            if moved < SETTLED:
                break
        points = _each("Coherent point drift, all subjects", fit, everyone, workers)
    return Correspondence(np.stack(points), done)


def register(template: np.ndarray, target: np.ndarray, field: DistanceField) -> np.ndarray:
    """(M, 3) the template's points on a subject's surface.

    Rigid coherent point drift, then deformable; then the zero level of the distance transform.

    Arguments:
        template: (M, 3) mm; target: (T, 3) mm, evenly on the subject's surface, and so is every
            beginning of it, as `farthest_points` orders it.
        field: the subject's.
    """
    from biocpd import DeformableRegistration, RigidRegistration

    centre = template.mean(axis=0)
    size = np.sqrt(np.square(template - centre).mean())
    goal, start = (target - centre) / size, (template - centre) / size
    carriers = start
    if len(start) > CARRIERS:
        carriers = start[farthest_points(start, CARRIERS)]
    # biocpd's k-d tree and random SVD are quicker but not the method, nor the same on every run
    exact = {"use_kdtree": False, "dtype": np.float64}
    few = carriers[farthest_points(carriers, min(len(carriers), RIGID_POINTS))]
    rigid = RigidRegistration(
        X=goal[: TARGETS * len(few)], Y=few, scale=False, max_iterations=RIGID_ITERATIONS, **exact
    )
    rigid.register()
    start, carriers = rigid.transform_point_cloud(start), rigid.transform_point_cloud(carriers)
    deformable = DeformableRegistration(
        X=goal, Y=carriers, alpha=STIFFNESS, beta=WIDTH, low_rank=False,
        max_iterations=ITERATIONS, tolerance=TOLERANCE, **exact,
    )  # fmt: skip
    deformable.register()
    return field.project(deformable.transform_point_cloud(start) * size + centre)


def _each(what: str, function: Callable, items: Sequence[int], workers: int) -> list:
    progress, results = Progress(what, len(items), "shapes"), []
    for result in map_in_order(function, items, workers):
        results.append(result)
        progress.update(len(results))
    return results
