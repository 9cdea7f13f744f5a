"""Adapter of the rule build_particles."""

from pathlib import Path

from lmcore.job import job
from lmcore.particles.build import build_particles

with job(snakemake):
    build_particles(
        population_path=snakemake.input.population,
        subjects_path=snakemake.input.subjects,
        engine=snakemake.params.engine,
        count=snakemake.params.points,
        seed=snakemake.params.seed,
        folder=Path(snakemake.output.particles).parent,
        workers=snakemake.threads,
        optimized={
            "training": snakemake.input.get("training"),
            "held_out": snakemake.input.get("held_out"),
        },
    )
