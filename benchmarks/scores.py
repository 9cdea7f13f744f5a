"""The scores of the accuracy benchmark, all of them of subjects that the encoder never saw."""

from collections.abc import Sequence

import numpy as np
import torch

from benchmarks import equivariance, outlines, prediction
from benchmarks.baselines import pixel_pca
from lmcore.analysis.intervals import bootstrap_interval, mean_interval
from lmcore.analysis.registration_pairs import (
    Sample,
    by_affine,
    by_spline,
    measure_pairs,
    unregistered,
)
from lmcore.analysis.registration_quality import pair_statistic
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.pairs import fixed_subset
from lmcore.points.geometry import apply_affine, normalised_to_index
from lmcore.population.readers import read_image
from lmcore.population.store import Population
from lmcore.population.table import Subject

# Pairs of unseen subjects are registered up to so many pixels in all, and of so many subjects.
REGISTERED_PIXELS = 40_000_000
LEAST_REGISTERED, MOST_REGISTERED = 4, 30
# Images that are deformed, and known maps of each kind for each of them, in 2D and 3D.
DEFORMED_IMAGES = 40
DRAWS = {2: 8, 3: 2}


def registration_scores(
    population: Population, unseen: list[int], points: np.ndarray, kernel: str, seed: int
) -> dict:
    """All pairs of some unseen subjects: before, by an affine map alone, by the spline.

    A target whose spline has no solution counts with its sources unregistered: leaving it out
    would favour landmarks that meet.

    Arguments:
        points: (len(unseen), M, d) normalised landmarks.
    """
    pixels, count = int(np.prod(population.shape)), LEAST_REGISTERED
    while count < MOST_REGISTERED and (count + 1) * count * pixels <= REGISTERED_PIXELS:
        count += 1
    chosen = fixed_subset(list(range(len(unseen))), count, seed)
    sample = Sample.of(population, [unseen[i] for i in chosen])
    landmarks = torch.from_numpy(points[chosen])
    asked = ("loss", "dice", "hd95")
    before = measure_pairs(sample, unregistered(sample), asked, "unregistered")
    affine = measure_pairs(sample, by_affine(sample, landmarks), asked, "affine registration")
    spline = by_spline(sample, landmarks, kernel)
    after = measure_pairs(sample, spline, (*asked, "folded_share"), "spline registration")
    folded = after.pop("folded_share")
    n = len(chosen)
    failed = np.isnan(folded).sum(axis=1) == n
    for name, matrix in after.items():
        matrix[failed] = before[name][failed]

    def ratio(way: dict) -> float:
        return float(np.nanmean(way["loss"]) / np.nanmean(before["loss"]))

    scores = {
        "registration_loss_before": float(np.nanmean(before["loss"])),
        "registration_loss_affine": float(np.nanmean(affine["loss"])),
        "registration_loss_after": float(np.nanmean(after["loss"])),
        "registration_loss_ratio": ratio(after),
        "affine_loss_ratio": ratio(affine),
        "folded_share": None if failed.all() else float(np.nanmean(folded)),
        "failed_targets": int(failed.sum()),
        "registered_subjects": n,
    }
    loss_ratio = pair_statistic(after["loss"], before["loss"])
    intervals = {"registration_loss_ratio": bootstrap_interval(loss_ratio, n, seed)}
    for name in ("dice", "hd95"):
        for way, found in (("before", before), ("affine", affine), ("after", after)):
            if name in found:
                values = _finite(found[name], sample)
                scores[f"{name}_{way}"] = float(np.nanmean(values))
                interval = bootstrap_interval(pair_statistic(values), n, seed)
                intervals[f"{name}_{way}"] = interval
    if "dice" in after:
        gain = _finite(after["dice"], sample) - _finite(before["dice"], sample)
        scores["dice_gain"] = float(np.nanmean(gain))
        intervals["dice_gain"] = bootstrap_interval(pair_statistic(gain), n, seed)
    return scores | {"intervals": intervals}


def _finite(values: np.ndarray, sample: Sample) -> np.ndarray:
    """A segmentation that registration pushed out of the image is as far as the image is long."""
    diagonal = float(np.linalg.norm(sample.shape)) * sample.spacing
    return np.where(np.isposinf(values), diagonal, values)


def regression_scores(
    hand_placed: np.ndarray,
    landmarks: np.ndarray,
    components: np.ndarray,
    supervised: np.ndarray | None,
    length: float,
    seed: int,
) -> dict:
    """Errors in percent of the object's length.

    Arguments:
        hand_placed: (n, K, 2); landmarks: (n, M, 2) discovered; supervised: (n, K, 2) predicted,
            or None; all in pixels of the original images, of unseen subjects.
        components: (n, D) pixel PCA; length: of the object, pixels.
    """
    n, percent = len(hand_placed), 100 / length
    every = prediction.regression_splits(n, None, seed)
    fitted = min(len(train) for train, _ in every)
    curve: dict[str, dict] = {"landmarks": {}, "pixel_pca": {}, "mean_landmarks": {}}
    descriptors = {"landmarks": landmarks.reshape(n, -1), "pixel_pca": components}
    for count in [*(count for count in prediction.CURVE if count < fitted), None]:
        splits = every if count is None else prediction.regression_splits(n, count, seed)
        for name, errors in curve.items():
            values = descriptors.get(name)
            errors["all" if count is None else str(count)] = percent * prediction.regression_errors(
                values, hand_placed, splits
            )
    reverse = percent * prediction.regression_errors(hand_placed.reshape(n, -1), landmarks, every)
    intervals = {
        "landmark_regression_percent": mean_interval(curve["landmarks"]["all"], seed),
        "pixel_pca_percent": mean_interval(curve["pixel_pca"]["all"], seed),
        "reverse_regression": mean_interval(reverse, seed),
    }
    scores = {
        "landmark_regression_percent": curve["landmarks"]["all"].mean(),
        "reverse_regression": reverse.mean(),
        "mean_landmarks_percent": curve["mean_landmarks"]["all"].mean(),
        "pixel_pca_percent": curve["pixel_pca"]["all"].mean(),
        "annotated": n,
        "object_length": length,
        "regression_curve": {
            name: {count: float(errors.mean()) for count, errors in found.items()}
            for name, found in curve.items()
        },
    }
    if supervised is not None:
        errors = percent * np.linalg.norm(supervised - hand_placed, axis=-1).mean(axis=-1)
        scores["supervised_percent"] = errors.mean()
        intervals["supervised_percent"] = mean_interval(errors, seed)
    scores = {k: float(v) if isinstance(v, np.floating) else v for k, v in scores.items()}
    return scores | {"intervals": intervals}


def class_scores(classes: np.ndarray, descriptors: dict[str, np.ndarray], seed: int) -> dict:
    """Balanced accuracy of each descriptor, named PREFIXbalanced_accuracy by its key PREFIX.

    Arguments:
        classes: (n,) of unseen subjects; descriptors: prefix -> (n, D).
    """
    counts = np.unique(classes, return_inverse=True, return_counts=True)[1:]
    balance = 1 / (len(counts[1]) * counts[1][counts[0]])
    scores, intervals = {}, {}
    for prefix, values in descriptors.items():
        what = prefix.rstrip("_").replace("_", " ") or "landmarks"
        right = prediction.classification_shares(values, classes, seed, what)
        name = f"{prefix}balanced_accuracy"
        scores[name] = prediction.balanced_accuracy(right, classes)
        weighed = balance * right
        intervals[name] = bootstrap_interval(
            lambda weights, weighed=weighed: weights @ weighed, len(classes), seed, strata=classes
        )
    return scores | {"classes": len(counts[1]), "intervals": intervals}


def descriptors_of(
    subjects: Sequence[Subject],
    points: np.ndarray,
    seen: np.ndarray,
    unseen: np.ndarray,
    dimension: int,
) -> dict[str, np.ndarray]:
    """Descriptors of the same dimension, as far as they can have it, by their prefix.

    Arguments:
        subjects: n unseen ones, whose outlines are traced in the original images (2D).
        points: (n, M, d) landmarks in pixels of the prepared images; seen, unseen: images.
    """
    count = points[0].size
    found = {
        "": points.reshape(len(points), -1),
        "pixel_pca_": pixel_pca(seen, unseen, count),
    }
    if dimension == 2:
        contours = (outlines.outline(read_image(subject.image_path)) for subject in subjects)
        found["fourier_"] = np.stack(
            [outlines.fourier_descriptors(contour, count) for contour in contours]
        )
    return found


def stability_scores(
    encoder: LandmarkEncoder, population: Population, unseen: list[int], seed: int
) -> dict:
    """Equivariance under known maps and repeatability, both in percent of the image's width.

    The headline is of rotation, shift and scale drawn together.
    """
    images = torch.from_numpy(population.images(fixed_subset(unseen, DEFORMED_IMAGES, seed)))
    kinds = equivariance.equivariance(encoder, images, DRAWS[population.dimension], seed)
    return {
        "equivariance_median_percent": kinds["affine"]["median"],
        "equivariance_p95_percent": kinds["affine"]["p95"],
        "equivariance": kinds,
        "repeatability": equivariance.repeatability(encoder, images, seed),
    }


def usefulness_scores(
    population: Population, subjects: Sequence[Subject], unseen: list[int], points: np.ndarray
) -> dict:
    """Share of dead landmarks, and of landmarks off the object where it is known what that is.

    The object is the segmentation, or in 2D without one what edges in the original enclose.

    Arguments:
        subjects: of the whole population; points: (len(unseen), M, d) normalised.
    """
    off = []
    for place, own in zip(unseen, points, strict=True):
        index = normalised_to_index(own, population.shape)
        if population.segmented[place]:
            inside = population.segmentations([place])[0].astype(bool)
            off.append(outlines.off_object_share(index, inside))
        elif population.dimension == 2:
            image = read_image(subjects[place].image_path)
            pixels = apply_affine(population.affines[place], index)
            off.append(outlines.off_photographed_share(pixels, image))
    return {
        "dead_share": equivariance.dead_share(points, population.shape),
        "off_object_share": float(np.mean(off)) if off else None,
    }
