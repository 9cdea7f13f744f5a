"""The stages of a run that train: files in, files out."""

import hashlib
import logging
import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lmcore.discovery.checkpoint import load_encoder, save_encoder
from lmcore.discovery.cross_validation import cross_validate
from lmcore.discovery.encoder_file import read_encoder_file
from lmcore.discovery.guidance import guidance
from lmcore.discovery.pairs import Images, fixed_subset
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.trainer import Training
from lmcore.errors import InputError
from lmcore.files import whole_file, write_csv
from lmcore.points.landmarks import read_landmarks
from lmcore.points.thinning import farthest_points
from lmcore.population.seen import check_foreign, check_twins, digests_seen, write_seen
from lmcore.population.splits import splits_of
from lmcore.population.store import Population
from lmcore.timings import write_timings

logger = logging.getLogger("lmcore")

StrPath = str | os.PathLike
VALIDATION_SUBJECTS = 12
HISTORY = (
    *("epoch", "pairs", "train_loss", "validation_loss", "shape_loss"),
    *("kappa", "relative_kappa", "failures", "kept"),
)


def train_encoder(
    population_path: StrPath,
    subjects_path: StrPath,
    settings: TrainingSettings,
    seed: int,
    encoder_path: StrPath,
    history_path: StrPath,
    timings_path: StrPath,
    seen_path: StrPath,
    checkpoint_path: StrPath,
    digest: str,
    initial_landmarks: StrPath | None = None,
    what: str = "training",
    person_column: str | None = None,
) -> None:
    """Train on the training split, stop by the validation split, see nothing else.

    `settings.subjects` may have other subjects train than the split of that name; with `all`, as
    the paper trains on all femora, those of validation and test do as well.

    Where all files are there and of this very training, nothing is done. Snakemake deletes them
    before a job, so that is what a job of an interrupted run did while this one waited for it
    (`lmcore/job.py`).

    Arguments:
        population_path: population.h5; subjects_path: subjects.csv, for the splits alone.
        settings: with the chosen lambda.
        seed: of weights and batches.
        encoder_path, history_path, timings_path, seen_path: what is written; see `write_seen`.
        checkpoint_path: kept while training and removed at its end.
        digest: of settings and code; a checkpoint of another one, or of other files, is not used.
        initial_landmarks: landmark table whose mean the encoder starts from.
        what: named in progress.
        person_column: see `splits_of`.
    Raises:
        InputError: with too few subjects, or where training breaks.
    """
    inputs = [population_path, subjects_path, initial_landmarks]
    digest = f"{digest} {digest_of(inputs)}"
    if is_trained(encoder_path, [history_path, timings_path, seen_path], digest):
        logger.info(f"{what}: done by a job of an interrupted run")
        return
    splits = splits_of(subjects_path, settings.subjects, person_column)
    before = splits if settings.subjects != "all" else splits_of(subjects_path)
    with Population(population_path) as population:
        check_twins(population, splits)
        train = indices_of(population, splits, "train", at_least=2)
        validation = indices_of(population, before, "validation", at_least=2)
        validation = fixed_subset(validation, VALIDATION_SUBJECTS, seed)
        training = Training(
            Images(population, list(dict.fromkeys(train + validation))),
            population.shape,
            train,
            validation,
            settings,
            seed,
            mean_landmarks(initial_landmarks, settings.landmarks, population.dimension),
            what,
            **guidance(population, train, validation, settings, seed),
        )
        trained = training.run(checkpoint_path, digest)
        preprocessing = population.preprocessing
        seen = digests_seen(population, train + validation)
        write_seen(seen_path, population, seen)
    write_csv(history_path, pd.DataFrame(trained.history, columns=HISTORY))
    write_timings(
        timings_path,
        ("training_seconds", trained.seconds, "s", trained.pairs_here),
        (
            "training_pairs_per_second",
            trained.pairs_here / max(trained.seconds, 1e-9),
            "1/s",
            trained.pairs_here,
        ),
        ("training_peak_memory", peak_megabytes(), "MB", 1),
    )
    save_encoder(
        encoder_path,
        trained.encoder,
        kernel=settings.kernel,
        preprocessing=preprocessing,
        regularization=settings.regularization,
        recipe=settings.recipe,
        match=settings.match,
        pairs=trained.pairs,
        seen=seen,
        digest=digest,
    )
    Path(checkpoint_path).unlink(missing_ok=True)


def is_trained(encoder_path: StrPath, others: Sequence[StrPath], digest: str) -> bool:
    """Whether a training of this digest has written all of its files; the encoder is the last."""
    if not all(Path(path).exists() for path in (encoder_path, *others)):
        return False
    try:
        return read_encoder_file(encoder_path).get("digest") == digest
    except InputError:
        return False


def adopt_encoder(
    pretrained: StrPath,
    population_path: StrPath,
    subjects_path: StrPath,
    settings: Mapping,
    encoder_path: StrPath,
    history_path: StrPath,
    timings_path: StrPath,
    seen_path: StrPath,
) -> None:
    """Take a trained encoder in place of training one, after checking that it fits.

    Arguments:
        pretrained: an `encoder.pt`.
        population_path: the population it will be applied to, prepared as the encoder wants.
        subjects_path: subjects.csv, for the splits.
        settings: the block `model` of the run.
        encoder_path, history_path (empty but for its header), timings_path, seen_path: what is
            written.
    Raises:
        InputError: if it is of another dimension, image size, kernel or landmark count, or was
            trained on subjects that are test or held_out here.
    """
    encoder, content = load_encoder(pretrained)
    with Population(population_path) as population:
        if population.shape != encoder.shape:
            raise InputError(
                f"model.pretrained {pretrained} takes images of {encoder.shape}, "
                f"the population has {population.shape}"
            )
    for key, value in (("landmarks", encoder.landmarks), ("kernel", content["kernel"])):
        if settings[key] != value:
            raise InputError(
                f"model.pretrained {pretrained} was trained with {key} {value}: "
                f"set model.{key} to it (now {settings[key]})"
            )
    seen = content.get("seen", ())
    if not seen:
        logger.info(f"{pretrained} does not tell whose images it was trained on")
    with Population(population_path) as population:
        check_foreign(population, splits_of(subjects_path), seen, pretrained)
        write_seen(seen_path, population, seen)
    with whole_file(encoder_path) as temporary:
        shutil.copyfile(pretrained, temporary)
    write_csv(history_path, pd.DataFrame(columns=HISTORY))
    write_timings(timings_path)
    logger.info(f"{pretrained}: {encoder.landmarks} landmarks, not trained again")


def cross_validate_regularization(
    population_path: StrPath,
    subjects_path: StrPath,
    settings: TrainingSettings,
    fold: int,
    folds: int,
    seed: int,
    output: StrPath,
    seen_path: StrPath,
    initial_landmarks: StrPath | None = None,
    what: str = "cross-validation",
    person_column: str | None = None,
) -> None:
    """One weight, one fold: train on the other folds of the training split, write one row.

    And to `seen_path` whose images were read, the fold's that is scored among them.
    """
    splits = splits_of(subjects_path, settings.subjects, person_column)
    with Population(population_path) as population:
        check_twins(population, splits)
        train = indices_of(population, splits, "train", at_least=2 * folds)
        images = Images(population, train)
        initial = mean_landmarks(initial_landmarks, settings.landmarks, population.dimension)
        row = cross_validate(
            images,
            population.shape,
            train,
            settings,
            fold,
            folds,
            seed,
            initial,
            what,
            **guidance(population, train, [], settings, seed),
        )
        write_seen(seen_path, population, digests_seen(population))
    write_csv(output, pd.DataFrame([row]))


def indices_of(
    population: Population, splits: Mapping[str, str], split: str, at_least: int
) -> list[int]:
    """Positions of a split's subjects in the population.

    Raises:
        InputError: if there are fewer than `at_least`.
    """
    found = [i for i, subject in enumerate(population.subjects) if splits[subject] == split]
    if len(found) < at_least:
        raise InputError(
            f"split {split} has {len(found)} subjects, {at_least} are needed: "
            "give more subjects or change population.split"
        )
    return found


def digest_of(paths: Sequence[StrPath | None]) -> str:
    """Digest of the content of files, those that are given."""
    digest = hashlib.sha256()
    for path in filter(None, paths):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def mean_landmarks(path: StrPath | None, count: int, dimension: int) -> torch.Tensor | None:
    """(count, dimension) mean of a landmark table in [-1, 1], where an encoder may start.

    Of more points, such as the particles of a shape model, as many as there are landmarks are
    taken, spread as far as can be.

    Raises:
        InputError: if the table has fewer landmarks, or another dimension.
    """
    if not path:
        return None
    table = read_landmarks(path)
    mean = np.mean(table.normalised, axis=0)
    if len(mean) > count and mean.shape[1] == dimension:
        # as far apart as can be in space: of one subject, the mean, in mm
        places = table.physical[0] if len(table.subjects) == 1 else mean
        mean = mean[farthest_points(places, count)]
    if mean.shape != (count, dimension):
        raise InputError(
            f"model.initial_landmarks {path} has {mean.shape[0]} landmarks in {mean.shape[1]}D, "
            f"the encoder {count} in {dimension}D: set model.landmarks to the table's number"
        )
    return torch.from_numpy(mean)


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
