"""Adapter of the rule discover_landmarks."""

from lmcore.discovery.inference import discover_landmarks
from lmcore.job import job

with job(snakemake):
    discover_landmarks(
        population_path=snakemake.input.population,
        encoder_path=snakemake.input.encoder,
        landmarks_path=snakemake.output.landmarks,
        timings_path=snakemake.output.timings,
    )
