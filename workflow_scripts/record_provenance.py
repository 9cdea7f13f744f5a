"""Adapter of the rule record_provenance."""

from lmcore.job import job
from lmcore.provenance import record_provenance

with job(snakemake):
    record_provenance(
        output=snakemake.output.table,
        configuration=snakemake.params.configuration,
        sources=snakemake.params.sources,
        seed=snakemake.params.seed,
        seeds=snakemake.params.seeds,
    )
