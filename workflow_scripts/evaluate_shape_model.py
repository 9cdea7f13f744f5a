"""Adapter of the rule evaluate_shape_model."""

from lmcore.analysis.shape_model import evaluate_shape_model
from lmcore.job import job

with job(snakemake):
    evaluate_shape_model(
        population_path=snakemake.input.population or None,
        subjects_path=snakemake.input.subjects,
        landmarks_path=snakemake.input.landmarks,
        kernel=snakemake.params.kernel,
        seed=snakemake.params.seed,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        modes=snakemake.output.modes,
        meshes=snakemake.output.meshes,
        particles_path=snakemake.input.get("particles"),
        engine_path=snakemake.input.get("engine"),
    )
