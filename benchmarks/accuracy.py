"""Are the landmarks worth having? Accuracy on any table of images, beside what else one would use.

One encoder is trained on 60 % of the subjects, images alone (a tenth of them validates);
every score comes from the other 40 %. The last line is one JSON object; keys that do not apply are
null. Percentages:

landmark_regression_percent, reverse_regression, mean_landmarks_percent, pixel_pca_percent,
supervised_percent: mean distance between predicted and hand-placed landmarks (reverse: discovered
ones) in percent of the object's length, the mean diagonal of the box around a subject's hand-placed
landmarks. Ridge, repeated 10-fold cross-validation inside the unseen subjects; the supervised
encoder, the ceiling, learned from the hand-placed landmarks of the other 60 %.

balanced_accuracy, pixel_pca_balanced_accuracy, fourier_balanced_accuracy: one tuned classifier for
all (support vectors, radial kernel), repeated 5-fold cross-validation inside the unseen subjects.

equivariance_median_percent, equivariance_p95_percent: distance of the landmarks of a mapped image
from the mapped landmarks of the image, in percent of the prepared image's width, the frame with its
margin; rotation up to 15 degrees, shift up to 10 % of each side and scale 0.85 to 1.15 drawn
together (each alone, and a smooth deformation: `equivariance`); landmarks that leave the frame do
not count.

dead_share: of landmarks that vary over the population by less than 0.1 % of the image's width.
off_object_share: of landmarks more than 2 % of the longest side off the segmentation, or in 2D off
what strong edges enclose, the threshold by Otsu. dice, hd95 (mm, in 2D pixels of the prepared
images): of registered segmentations.
"""

import argparse
import logging
import math
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import baselines, common, prediction, scores, tables
from benchmarks.choices import PARTS, configured, training_settings
from lmcore.discovery.encoder import Encoder
from lmcore.discovery.guidance import guidance
from lmcore.discovery.inference import find_landmarks
from lmcore.discovery.pairs import Images, fixed_subset
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.stages import VALIDATION_SUBJECTS
from lmcore.discovery.trainer import Training
from lmcore.errors import InputError
from lmcore.points.geometry import normalised_to_index
from lmcore.population.store import Population
from lmcore.seeds import derive_seed

KEYS = (
    *("registration_loss_ratio", "dice_before", "dice_after", "hd95_before", "hd95_after"),
    *("folded_share", "balanced_accuracy", "pixel_pca_balanced_accuracy"),
    *("fourier_balanced_accuracy", "landmark_regression_percent", "reverse_regression"),
    *("mean_landmarks_percent", "pixel_pca_percent", "supervised_percent"),
    *("equivariance_median_percent", "equivariance_p95_percent", "dead_share", "seconds"),
)


def main(arguments: list[str] | None = None) -> None:
    """Train, score, print the scores; a user's error is one line and exit code 1."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        found = measure(options)
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    common.report(torch.device(options.device), **dict.fromkeys(KEYS) | finite(found))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--table", type=Path, required=True, help="of the subjects, as for population.table")
    add("--root", type=Path, help="the folder its paths are relative to; its own by default")
    add("--class", dest="class_column", metavar="COLUMN", help="that holds the class")
    add("--landmarks", type=Path, metavar="FILE.csv", help="hand-placed: name, x1, y1, x2, y2, ...")
    add("--recipe", choices=("paper", "robust"), default="robust")
    add("--without", choices=sorted(PARTS), help="for an ablation, with no supervised encoder")
    add("--seed", type=int, default=1, help="of the split and the training")
    add("--landmarks-count", type=int, help="16 with classes, otherwise 20 in 2D and 32 in 3D")
    add("--size", type=int, nargs="+", help="[depth] height width; chosen by the images")
    add("--pairs", type=int, help="of images to see; fewer for larger images by default")
    add(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="such as training.batch=8; may be given again",
    )  # fmt: skip
    add("--threads", type=int, default=2, help="CPU threads of torch")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="of the trainings")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict:
    """Everything the command line asks for, by key."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path, subjects, split = tables.prepare(
            options.table,
            options.root,
            options.class_column,
            configured(options),
            options.seed,
            Path(folder),
            options.threads,
        )
        with Population(path) as population:
            found = measure_population(options, population, subjects, split)
    return found | {"seconds": time.monotonic() - begin}


def measure_population(options, population: Population, subjects, split: tables.Split) -> dict:
    """Train an encoder on a prepared population and score it on its unseen subjects."""
    run, seed, unseen = configured(options, population.shape), options.seed, split.unseen
    hand_placed = large = None
    if options.landmarks:
        if population.dimension == 3:
            raise InputError("--landmarks holds points of 2D images, the table holds volumes")
        hand_placed = tables.read_hand_placed(options.landmarks, subjects)
    if options.class_column:
        classes = np.array([subjects[i].labels[options.class_column] for i in unseen])
        large, left_out = tables.large_classes(classes, options.class_column)
        if left_out:
            common.say(f"too few unseen subjects, left out: {', '.join(left_out)}")
    settings = training_settings(run, options.without)
    common.say(f"{population.shape}, {len(split.seen)} subjects seen, {len(unseen)} unseen")
    begin = time.monotonic()
    encoder = train_encoder_on(population, split, settings, seed)
    trained = time.monotonic() - begin
    points = find_landmarks(encoder, population, unseen)
    found = {
        "recipe": settings.recipe,
        "seed": seed,
        "landmarks": settings.landmarks,
        "size": list(population.shape),
        "seen": len(split.seen),
        "unseen": len(unseen),
        "training_seconds": trained,
        "settings": asdict(settings),
    }
    parts = [
        scores.registration_scores(population, unseen, points, settings.kernel, seed),
        scores.stability_scores(encoder, population, unseen, seed),
        scores.usefulness_scores(population, subjects, unseen, points),
    ]
    if hand_placed is not None:
        ceiling = options.without is None
        parts.append(
            score_regression(population, split, points, hand_placed, settings, seed, ceiling)
        )
    if large is not None:
        descriptors = scores.descriptors_of(
            [subjects[i] for i in unseen],
            normalised_to_index(points, population.shape),
            population.images(split.seen),
            population.images(unseen),
            population.dimension,
        )
        descriptors = {name: values[large] for name, values in descriptors.items()}
        parts.append(scores.class_scores(classes[large], descriptors, seed))
    intervals = {}
    for part in parts:
        intervals |= part.pop("intervals", {})
        found |= part
    return found | {"intervals": intervals}


def score_regression(
    population: Population,
    split: tables.Split,
    points: np.ndarray,
    hand_placed: np.ndarray,
    settings: TrainingSettings,
    seed: int,
    ceiling: bool = True,
) -> dict:
    """Discovered landmarks and the baselines against the hand-placed (N, K, 2) of all subjects.

    Arguments:
        ceiling: whether to train a supervised encoder as well.
    """
    annotated = np.isfinite(hand_placed).all(axis=(1, 2))
    scored = [i for i in split.unseen if annotated[i]]
    taught = [i for i in split.seen if annotated[i]]
    if len(scored) < 3:
        raise InputError(
            f"--landmarks: {len(scored)} of {len(split.unseen)} unseen subjects have landmarks; "
            "three are needed"
        )
    images = population.images(scored)
    components = baselines.pixel_pca(population.images(split.seen), images, points[0].size)
    supervised = None
    if ceiling and len(taught) > 1:
        found = baselines.supervised_landmarks(
            torch.from_numpy(population.images(taught)),
            tables.to_normalised(hand_placed[taught], population, taught),
            torch.from_numpy(images),
            settings,
            seed,
        )
        supervised = tables.to_original(found, population, scored)
    own = points[[place for place, i in enumerate(split.unseen) if annotated[i]]]
    return scores.regression_scores(
        hand_placed[scored],
        tables.to_original(own, population, scored),
        components,
        supervised,
        prediction.box_diagonal(hand_placed[annotated]),
        seed,
    )


def train_encoder_on(
    population: Population, split: tables.Split, settings: TrainingSettings, seed: int
) -> Encoder:
    """An encoder trained on the images of the seen subjects, ready for inference on the CPU."""
    validation = fixed_subset(split.validation, VALIDATION_SUBJECTS, seed)
    training = Training(
        Images(population, split.train + validation),
        population.shape,
        split.train,
        validation,
        settings,
        derive_seed(seed, "training"),
        **guidance(population, split.train, validation, settings, seed),
    )
    return training.run().encoder.cpu()


def finite(value):
    """None for numbers that JSON does not have, all through dictionaries and lists."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
