"""Adapter of the rule plot_importance."""

from lmcore.figures.experiment import plot_importance
from lmcore.job import job
from lmcore.points.landmarks import read_landmarks

with job(snakemake):
    plot_importance(
        importance=snakemake.input.importance,
        retained=len(read_landmarks(snakemake.input.retained).numbers),
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
