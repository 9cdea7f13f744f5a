"""How well Z can tell simulated metopic crania: from the true parameters, and from landmarks."""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from lmcore.analysis.mahalanobis import PAPER_SHARE, CrossFit, Estimator, cross_fit
from lmcore.analysis.separation import auc
from lmcore.points.thinning import farthest_points
from lmcore.seeds import derive_seed
from lmcore.simulation import cranium
from lmcore.simulation.cranium_shape import cranium as solid
from lmcore.simulation.cranium_shape import deformation
from lmcore.simulation.solids import surface

MANY = 4000  # controls, whose covariance is as good as known
# As `analyses.severity.share` takes them; None is the default, which shrinks
SHARES = (None, 0.95, 0.98)


def main(arguments: list[str] | None = None) -> None:
    """Print area under the curve and Spearman's correlation with the true severity."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="populations, of seeds 2021 onwards")
    parser.add_argument("--landmarks", type=int, default=50, help="true points of the surface")
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[0.0, 0.3, 1.0, 2.0],
        help="mm, standard deviation of each coordinate of a landmark",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    places, _ = surface(solid, cranium.LOW, cranium.HIGH, cranium.SURFACE_STEP)
    places = places[farthest_points(places, options.landmarks)]
    known = known_covariance()
    found: dict[str, list] = {}
    for seed in range(2021, 2021 + options.seeds):
        # the population of metopic in config.yaml, and of further seeds
        own_seed = derive_seed(seed, "metopic", "simulation")
        subjects = cranium.draw_subjects(own_seed, cranium.CraniumOptions())
        for name, row in measure(subjects, places, known, options.noise, own_seed).items():
            found.setdefault(name, []).append(row)
        areas = ", ".join(f"{name} {rows[-1][0]:.2f}" for name, rows in found.items())
        common.say(f"seed {seed}: {areas}")
    common.report(
        torch.device("cpu"),
        scores={name: summary(np.array(rows)) for name, rows in found.items()},
        **common.chosen(options, "seeds", "landmarks"),
    )


def measure(
    subjects: list, places: np.ndarray, known: tuple, noises: list[float], seed: int
) -> dict[str, tuple[float, float]]:
    """(area, Spearman) of one population, by what Z is taken from.

    `parameters`: the numbers that make the shapes, as `z_truth_best` of a run;
    `parameters_known_covariance`: the same with the covariance of MANY controls;
    `NOISE mm, ESTIMATOR`: landmarks at their true places but for noise.

    Arguments:
        places: (M, 3) mm on the common cranium; known: of `known_covariance`.
    """
    is_control = np.array([one.group == "control" for one in subjects])
    severity = np.array([one.parameters["severity"] for one in subjects])
    values = parameters_of(subjects)

    def scores(fit: CrossFit) -> tuple[float, float]:
        ranks = spearmanr(fit.scores(is_control), severity).statistic
        return auc(fit.controls, fit.others), float(ranks)

    def fitted(shapes: np.ndarray, estimator: Estimator) -> tuple[float, float]:
        return scores(cross_fit(shapes, is_control, estimator, "crania"))

    mean, inverse = known
    apart = values - mean
    distance = np.sqrt(np.einsum("ni,ij,nj->n", apart, inverse, apart))
    own, others = distance[is_control], distance[~is_control]
    found = {
        "parameters": fitted(values[..., None], Estimator(PAPER_SHARE, procrustes=False)),
        "parameters_known_covariance": scores(CrossFit(own, np.tile(others, (len(own), 1)))),
    }
    true = np.stack([deformation(one.parameters)(places) for one in subjects])
    for noise in noises:
        random = np.random.default_rng(derive_seed(seed, "noise"))
        shapes = true + noise * random.standard_normal(true.shape)
        for share in SHARES:
            name = "shrunk" if share is None else f"share {share:g}"
            found[f"{noise:g} mm, {name}"] = fitted(shapes, Estimator(share))
    return found


def known_covariance() -> tuple[np.ndarray, np.ndarray]:
    """Mean (K) and inverse covariance (K, K) of the controls' parameters."""
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
