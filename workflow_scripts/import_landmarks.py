"""Adapter of the rule import_landmarks."""

from lmcore.job import job
from lmcore.population.given import import_landmarks

with job(snakemake):
    import_landmarks(
        table=snakemake.input.table,
        root=snakemake.params.root,
        class_column=snakemake.params.class_column,
        landmarks_path=snakemake.output.landmarks,
        subjects_path=snakemake.output.subjects,
    )
