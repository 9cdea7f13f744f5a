"""Adapter of the rule select_regularization."""

import pandas as pd

from lmcore.discovery.cross_validation import select_regularization
from lmcore.files import write_csv, write_json
from lmcore.job import job

with job(snakemake):
    scores = pd.concat([pd.read_csv(path) for path in snakemake.input.scores])
    write_csv(snakemake.output.table, scores)
    write_json(snakemake.output.choice, select_regularization(scores))
