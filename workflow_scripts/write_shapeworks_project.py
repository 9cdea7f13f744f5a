"""Adapter of the rule write_shapeworks_project."""

from lmcore.job import job
from lmcore.particles.build import write_shapeworks_project

with job(snakemake):
    write_shapeworks_project(
        population_path=snakemake.input.population,
        subjects_path=snakemake.input.subjects,
        stage=snakemake.wildcards.stage,
        count=snakemake.params.points,
        settings=snakemake.params.settings,
        folder=snakemake.output.project,
        trained=snakemake.input.get("trained"),
    )
