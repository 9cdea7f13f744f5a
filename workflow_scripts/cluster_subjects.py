"""Adapter of the rule cluster_subjects."""

from lmcore.analysis.clustering import cluster_subjects
from lmcore.job import job

with job(snakemake):
    cluster_subjects(
        landmarks=snakemake.input.landmarks,
        subjects=snakemake.input.subjects,
        class_column=snakemake.params.class_column,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
