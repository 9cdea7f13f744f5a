"""Adapter of the rule plot_landmarks."""

from lmcore.figures.experiment import plot_landmarks
from lmcore.job import job

with job(snakemake):
    plot_landmarks(
        population=snakemake.input.population,
        subjects=snakemake.input.subjects,
        landmarks=snakemake.input.landmarks,
        class_column=snakemake.params.class_column,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
