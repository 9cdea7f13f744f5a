"""Adapter of the rule select_landmarks."""

from lmcore.discovery.redundancy import select_landmarks
from lmcore.job import job

with job(snakemake):
    select_landmarks(
        importance_path=snakemake.input.importance,
        landmarks_path=snakemake.input.landmarks,
        output=snakemake.output.landmarks,
        retain=snakemake.params.retain,
        threshold=snakemake.params.threshold,
    )
