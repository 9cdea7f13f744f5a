"""How far each scan lies from the controls, and what that agrees with (Eq. 10, Figs. 5 and 8)."""

import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmcore.analysis.correlation import correlation_rows
from lmcore.analysis.descriptors import Descriptors, read_descriptors, read_shapes
from lmcore.analysis.mahalanobis import FEWEST, PAPER_SHARE, CrossFit, Estimator, cross_fit
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.ratings import read_mean_ratings
from lmcore.analysis.separation import auc, auc_interval, holm, separation_p
from lmcore.analysis.truth import read_truth
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.population.splits import UNSEEN, splits_of
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

Path = str | os.PathLike
SCORES = ("z", "z_in_sample", "z_unseen", "z_particles", "rating", "severity", "z_truth")
DEGENERATE = 1e-6  # spread over mean of distances that are equal but for rounding


def score_severity(
    landmarks: Path,
    subjects: Path,
    class_column: str,
    control: str,
    output: Path,
    numbers: Path,
    seed: int,
    population: Path | None = None,
    share: float | None = None,
    align: str = "procrustes",
    person_column: str | None = None,
    trained_on: str | Mapping[str, int] = "train",
    particles: Path | None = None,
    ratings: Path | None = None,
    truth: Path | None = None,
    truth_columns: Sequence[str] = (),
    truth_severity: str = "severity",
) -> None:
    """Mahalanobis distance Z of every subject from the controls (Eq. 10).

    Every Z that is claimed comes from models that the subject, or another scan of the same
    person, had no part in, see `cross_fit`. The
    encoder is another matter: it was trained on most controls, so theirs may be the tighter
    landmarks; `z_auc_unseen` is free of that.

    Numbers written:
        z_auc: probability that another subject's Z is above a control's, models leaving out one
            person in turn. z_auc_unseen: the same of subjects of test and held_out, which the
            encoder never saw, by the model of the controls of train. particles_auc: as z_auc.
        z_auc_p, z_auc_unseen_p, particles_auc_p: two-sided p that neither group has the higher Z,
            corrected by Holm for their number; a person counts once in a group, by the mean.
        z_auc_in_sample_paper: the paper's, in the sample, 100 % of the variance kept.
        z_in_sample_paper_spread: standard deviation over mean of that Z over controls; 0 where
            there are as many coordinates as controls, and the row above says nothing.
        z_particles, z_rating, particles_rating, z_truth, truth_rating: each _pearson and
            _spearman. Truth is the severity of the simulation, rating the raters' mean.
        z_truth_best, z_truth_best_auc: Spearman with that severity, and area, of the Z of the
            parameters that made the shapes; z_truth_share: z_truth_spearman over z_truth_best.

    Arguments:
        landmarks: such as landmarks/retained.csv; subjects, class_column: see `read_descriptors`.
        control: the class of the controls.
        output: analysis/severity.csv: subject, split, group, z, z_in_sample (the paper's) and,
            empty where there is none, z_unseen, z_particles, rating, severity and z_truth.
        numbers: KEY.numbers.csv.
        seed: of the intervals.
        population: population.h5, on whose grid shapes are measured in mm; without, given
            landmarks are in mm (2D: pixels) by the columns of their table.
        share: see `Estimator`; None shrinks.
        align: procrustes, or none.
        trained_on: who trained the encoder, see `splits_of`.
        person_column: the one that says whom a scan is of, or None. Intervals count persons.
        particles: particles.csv.
        ratings: CSV of subject, rater and score.
        truth: CSV of the generating parameters, for evaluation alone; truth_columns: those that
            make the shape; truth_severity: the one that is severity.
    Raises:
        InputError: with fewer than four controls, without others, with fewer than three
            particles' controls, and as the readers.
    """
    data = read_descriptors(landmarks, subjects, class_column, person_column)
    shapes = read_shapes(landmarks, data.subjects, population)
    scored = Severity(data, control, Estimator(share, align == "procrustes"))
    scored.score("z", shapes, "landmarks")
    scored.score_in_sample(shapes)
    splits = splits_of(subjects, trained_on, person_column)
    scored.score_unseen(shapes, np.array([splits[subject] for subject in data.subjects]))
    if particles:
        scored.score("z_particles", read_shapes(particles, data.subjects, population), "particles")
    if ratings:
        scored.table["rating"] = read_mean_ratings(ratings, data.subjects)
    if truth:
        scored.table["severity"] = read_truth(truth, data.subjects, [truth_severity])[:, 0]
        parameters = read_truth(truth, data.subjects, truth_columns)[..., None]
        scored.score("z_truth", parameters, "true parameters", Estimator(PAPER_SHARE, False))
    write_csv(output, scored.table)
    rows = [*scored.separation_rows(), *scored.agreement_rows(seed)]
    write_numbers(numbers, rows)
    for row in rows:
        logger.info(f"{row['name']} {row['value']:.3f} ({row['n']} subjects)")


class Severity:
    """Distances from the controls of a population.

    Arguments:
        data: subjects and their classes; control: the class of the controls.
        estimator: of the distance, unless another is asked for.

    Attributes:
        table: one row a subject, see `score_severity`.
        fits: cross-fitted distances by the column of the table that they are in.
    Raises:
        InputError: where there are too few controls or no others.
    """

    def __init__(self, data: Descriptors, control: str, estimator: Estimator):
        self.data, self.estimator, self.persons = data, estimator, data.persons
        self.is_control = data.classes == control
        self.fits: dict[str, CrossFit] = {}
        self.table = pd.DataFrame(
            {"subject": data.subjects, "split": data.splits, "group": data.classes}
        )
        self.table[list(SCORES)] = np.nan

    def score(
        self, column: str, shapes: np.ndarray, what: str, estimator: Estimator | None = None
    ) -> None:
        """Cross-fit the distances of (N, M, d) shapes, NaN for a subject that has none."""
        has = np.isfinite(shapes).all(axis=(1, 2))
        is_control, persons = self.is_control[has], self.persons[has]
        people = len(set(persons[is_control]))
        if people <= FEWEST or is_control.all():
            raise InputError(
                f"analyses.severity: {people} control subjects (population.control) and "
                f"{(~is_control).sum()} others have {what}; it needs {FEWEST + 1} and 1: give "
                "more, or set it to null"
            )
        estimator = estimator or self.estimator
        try:
            fit = cross_fit(shapes[has], is_control, estimator, what, persons)
        except ValueError as error:
            raise InputError(f"analyses.severity: {what} of the controls: {error}") from error
        self.fits[column] = fit
        self.table.loc[has, column] = fit.scores(is_control)

    def score_in_sample(self, shapes: np.ndarray) -> None:
        """The paper's distances: all controls make the model that scores them."""
        reference = Estimator(PAPER_SHARE, self.estimator.procrustes).fit(shapes[self.is_control])
        self.table["z_in_sample"] = reference(shapes)

    def score_unseen(self, shapes: np.ndarray, splits: np.ndarray) -> None:
        """Distances of subjects whom neither encoder nor model saw, from the controls of train.

        Arguments:
            splits: (N,) of the run.
        """
        unseen = np.isin(splits, UNSEEN)
        base = self.is_control & (splits == "train")
        base &= ~np.isin(self.persons, self.persons[unseen])
        if base.sum() < FEWEST or not (unseen & self.is_control).any():
            logger.warning(
                "no z_auc_unseen: it needs controls in train, and in test if that did not train"
            )
            return
        self.table.loc[unseen, "z_unseen"] = self.estimator.fit(shapes[base])(shapes[unseen])

    def separation_rows(self) -> list[dict]:
        """Areas under the curve with intervals and corrected p, and the paper's in-sample one."""
        rows, p_values = [], {}
        for name, column in (
            ("z_auc", "z"),
            ("z_auc_unseen", "z_unseen"),
            ("particles_auc", "z_particles"),
        ):
            if not self._both_groups(column):
                continue
            rows.append(self._auc_row(name, column))
            p_values[f"{name}_p"] = separation_p(*self._person_means(column)), rows[-1]["n"]
        corrected = holm([p for p, _ in p_values.values()])
        for (name, (_, n)), p in zip(p_values.items(), corrected, strict=True):
            rows.append(number_row(name, p, "", n))
        controls, others = self._groups("z_in_sample")
        spread = controls.std() / controls.mean()
        if spread < DEGENERATE:
            logger.warning(
                "in the sample all controls are at the same distance, whatever their shape: "
                "z_auc_in_sample_paper says nothing"
            )
        n = len(self.table)
        rows.append(number_row("z_auc_in_sample_paper", auc(controls, others), "", n))
        rows.append(number_row("z_in_sample_paper_spread", spread, "", len(controls)))
        if "z_truth" in self.fits:
            rows.append(self._auc_row("z_truth_best_auc", "z_truth"))
        return rows

    def agreement_rows(self, seed: int) -> list[dict]:
        """Correlations of the distances with each other, with ratings and with the truth."""
        seed, groups = derive_seed(seed, "agreement"), self.table["group"].to_numpy()
        rows = []
        for name, first, second in (
            ("z_particles", "z", "z_particles"),
            ("z_rating", "z", "rating"),
            ("particles_rating", "z_particles", "rating"),
            ("truth_rating", "severity", "rating"),
            ("z_truth", "z", "severity"),
            ("z_truth_best", "z_truth", "severity"),
        ):
            x, y = (self.table[column].to_numpy(dtype=float) for column in (first, second))
            rows += correlation_rows(name, x, y, seed, groups, self.persons)
        named = {row["name"]: row for row in rows}
        best = named.pop("z_truth_best_spearman", None)
        named.pop("z_truth_best_pearson", None)
        rows = list(named.values())
        if best:
            share = named["z_truth_spearman"]["value"] / best["value"]
            rows.append(best | {"name": "z_truth_best"})
            rows.append(number_row("z_truth_share", share, "", best["n"]))
        return rows

    def _groups(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Finite values of the controls and of the others."""
        values = self.table[column].to_numpy(dtype=float)
        has = np.isfinite(values)
        return values[has & self.is_control], values[has & ~self.is_control]

    def _both_groups(self, column: str) -> bool:
        return all(len(values) for values in self._groups(column))

    def _person_means(self, column: str) -> list[np.ndarray]:
        """As `_groups`, one value a person in a group."""
        values = self.table[column].groupby([~self.is_control, self.persons]).mean().dropna()
        return [values.loc[kind].to_numpy() for kind in (False, True)]

    def _auc_row(self, name: str, column: str) -> dict:
        controls, others = self._groups(column)
        fit = self.fits.get(column)
        value = auc(controls, others) if fit is None else auc(fit.controls, fit.others)
        interval = auc_interval(value, *(len(means) for means in self._person_means(column)))
        return number_row(name, value, "", len(controls) + len(others), interval)
