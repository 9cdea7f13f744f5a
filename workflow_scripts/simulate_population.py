"""Adapter of the rule simulate_population."""

import importlib
from pathlib import Path

from lmcore.job import job

with job(snakemake):
    population = importlib.import_module(f"lmcore.simulation.{snakemake.params.population}")
    population.simulate(
        folder=Path(snakemake.output.table).parent,
        truth=snakemake.output.truth,
        seed=snakemake.params.seed,
        **snakemake.params.options,
    )
