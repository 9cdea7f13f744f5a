"""Adapter of the rule compare_mean_shapes."""

from lmcore.analysis.mean_shapes import compare_mean_shapes
from lmcore.job import job

with job(snakemake):
    compare_mean_shapes(
        population_path=snakemake.input.population or None,
        subjects_path=snakemake.input.subjects,
        landmarks_path=snakemake.input.landmarks,
        class_column=snakemake.params.class_column,
        person_column=snakemake.params.person_column,
        control=snakemake.params.control,
        kernel=snakemake.params.kernel,
        seed=snakemake.params.seed,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        content=snakemake.output.content,
        meshes=snakemake.output.meshes,
        truth_path=snakemake.input.truth or None,
        surface_path=snakemake.input.surface or None,
    )
