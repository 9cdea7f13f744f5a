"""Adapter of the rule export_landmarks."""

from pathlib import Path

from lmcore.job import job
from lmcore.points.exports import export_landmarks
from lmcore.points.landmarks import read_landmarks
from lmcore.population.splits import read_splits
from lmcore.population.store import Population

with job(snakemake):
    with Population(snakemake.input.population) as population:
        original_shapes = population.original_shapes
    export_landmarks(
        landmarks=read_landmarks(snakemake.input.landmarks),
        images=list(read_splits(snakemake.input.subjects)["image"]),
        original_shapes=original_shapes,
        folder=Path(snakemake.output.table).parent,
    )
