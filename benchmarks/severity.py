"""How well Z can tell simulated metopic crania or cam femora from controls: from landmarks at their
true places but for noise, and crania also from the true parameters. Nothing is trained."""

import argparse
import functools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from lmcore.analysis.mahalanobis import PAPER_SHARE, CrossFit, Estimator, cross_fit
from lmcore.analysis.separation import auc
from lmcore.points.thinning import farthest_points
from lmcore.seeds import derive_seed
from lmcore.simulation import cranium, cranium_shape, femur
from lmcore.simulation.femur_anatomy import CUT, femur_surface
from lmcore.simulation.solids import surface

MANY = 4000  # controls, whose covariance is as good as known
# As `analyses.severity.share` takes them; None is the default, which shrinks
SHARES = (None, 0.95, 0.98)


class Drawn(NamedTuple):
    """A population without its scans.

    Attributes:
        is_control: (N,) bool; severity: (N,) the truth.
        shapes: (N, M, 3) mm, true points of the surface.
        parameters: (N, K) all that makes the shapes, or None where a parameter does not vary in
            controls, which makes every other subject infinitely far.
    """

    is_control: np.ndarray
    severity: np.ndarray
    shapes: np.ndarray
    parameters: np.ndarray | None


def main(arguments: list[str] | None = None) -> None:
    """Print area under the curve and Spearman's correlation with the true severity."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--population", choices=list(POPULATIONS), default="cranium")
    parser.add_argument("--seeds", type=int, default=10, help="populations, of seeds 2021 onwards")
    parser.add_argument("--landmarks", type=int, default=50, help="true points of the surface")
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[0.0, 0.3, 1.0, 2.0],
        help="mm, standard deviation of each coordinate of a landmark",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    experiment, draw = POPULATIONS[options.population]
    known = known_covariance() if options.population == "cranium" else None
    found: dict[str, list] = {}
    for seed in range(2021, 2021 + options.seeds):
        # the population of config.yaml, and of further seeds
        own_seed = derive_seed(seed, experiment, "simulation")
        drawn = draw(own_seed, options.landmarks)
        for name, row in measure(drawn, known, options.noise, own_seed).items():
            found.setdefault(name, []).append(row)
        areas = ", ".join(f"{name} {rows[-1][0]:.2f}" for name, rows in found.items())
        common.say(f"seed {seed}: {areas}")
    common.report(
        torch.device("cpu"),
        scores={name: summary(np.array(rows)) for name, rows in found.items()},
        **common.chosen(options, "population", "seeds", "landmarks"),
    )


def measure(
    drawn: Drawn, known: tuple | None, noises: list[float], seed: int
) -> dict[str, tuple[float, float]]:
    """(area, Spearman) of one population, by what Z is taken from.

    `parameters`: the numbers that make the shapes, as `z_truth_best` of a run;
    `parameters_known_covariance`: the same with the covariance of MANY controls;
    `NOISE mm, ESTIMATOR`: landmarks at their true places but for noise.

    Arguments:
        known: of `known_covariance`.
    """
    is_control = drawn.is_control

    def scores(fit: CrossFit) -> tuple[float, float]:
        ranks = spearmanr(fit.scores(is_control), drawn.severity).statistic
        return auc(fit.controls, fit.others), float(ranks)

    def fitted(shapes: np.ndarray, estimator: Estimator) -> tuple[float, float]:
        return scores(cross_fit(shapes, is_control, estimator, "subjects"))

    found = {}
    if drawn.parameters is not None:
        own = Estimator(PAPER_SHARE, procrustes=False)
        found["parameters"] = fitted(drawn.parameters[..., None], own)
        mean, inverse = known
        apart = drawn.parameters - mean
        distance = np.sqrt(np.einsum("ni,ij,nj->n", apart, inverse, apart))
        controls, others = distance[is_control], distance[~is_control]
        found["parameters_known_covariance"] = scores(
            CrossFit(controls, np.tile(others, (len(controls), 1)))
        )
    for noise in noises:
        random = np.random.default_rng(derive_seed(seed, "noise"))
        shapes = drawn.shapes + noise * random.standard_normal(drawn.shapes.shape)
        for share in SHARES:
            name = "shrunk" if share is None else f"share {share:g}"
            found[f"{noise:g} mm, {name}"] = fitted(shapes, Estimator(share))
    return found


@functools.cache
def cranium_places(landmarks: int) -> np.ndarray:
    """(M, 3) mm, spread over the surface that every cranium is deformed from."""
    places, _ = surface(cranium_shape.cranium, cranium.LOW, cranium.HIGH, cranium.SURFACE_STEP)
    return places[farthest_points(places, landmarks)]


def draw_crania(seed: int, landmarks: int) -> Drawn:
    """Metopic crania and controls; severity is that of metopic craniosynostosis."""
    places = cranium_places(landmarks)
    subjects = cranium.draw_subjects(seed, cranium.CraniumOptions())
    return Drawn(
        np.array([one.group == "control" for one in subjects]),
        np.array([one.parameters["severity"] for one in subjects]),
        np.stack([cranium_shape.deformation(one.parameters)(places) for one in subjects]),
        parameters_of(subjects),
    )


def draw_femora(seed: int, landmarks: int, near: float = np.inf) -> Drawn:
    """Cam femora and controls, all left; severity is the bump's height in mm.

    Landmarks lie above the cut, at most `near` mm from the middle of the bump.
    """
    options = femur.FemurOptions()
    places, _ = femur_surface()
    apart = np.linalg.norm(places - femur.bump_of(options).centre, axis=1)
    places = places[(places[:, 2] > CUT + femur.CUT_MARGIN) & (apart < near)]
    places = places[farthest_points(places, landmarks)]
    groups = [group for group, count in options.counts.items() for _ in range(count)]
    drawn = [femur.draw_parameters(seed, k, group, options) for k, group in enumerate(groups)]
    return Drawn(
        np.array([group == "control" for group in groups]),
        np.array([one["bump_height"] for one in drawn]),
        np.stack([femur.deformation(one, options)(places) for one in drawn]),
        None,
    )


POPULATIONS = {
    "cranium": ("metopic", draw_crania),
    "femur": ("camfai", draw_femora),
    "femur_near_bump": ("camfai", functools.partial(draw_femora, near=25.0)),
}


def known_covariance() -> tuple[np.ndarray, np.ndarray]:
    """Mean (K) and inverse covariance (K, K) of the crania's parameters in controls."""
    options = cranium.CraniumOptions(controls=MANY, metopic=0)
    values = parameters_of(cranium.draw_subjects(derive_seed(0, "many"), options))
    return values.mean(axis=0), np.linalg.inv(np.cov(values.T))


def parameters_of(subjects: list) -> np.ndarray:
    """(N, K) of `cranium.SHAPE_PARAMETERS`."""
    names = cranium.SHAPE_PARAMETERS
    return np.array([[one.parameters[name] for name in names] for one in subjects])


def summary(rows: np.ndarray) -> dict[str, float]:
    """Of (seeds, 2) areas and Spearman's correlations."""
    areas, ranks = rows.T
    return {
        "auc": float(areas.mean()),
        "auc_of_first_three": float(areas[:3].mean()),
        "auc_lowest": float(areas.min()),
        "auc_highest": float(areas.max()),
        "spearman": float(ranks.mean()),
    }


if __name__ == "__main__":
    main()
