"""Adapter of the rule train_encoder."""

import json
from pathlib import Path

from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.stages import adopt_encoder, train_encoder
from lmcore.job import job

with job(snakemake):
    files, made, model = snakemake.input, snakemake.output, snakemake.params.model
    training = snakemake.params.training
    outputs = {
        "encoder_path": made.encoder,
        "history_path": made.history,
        "timings_path": made.timings,
        "seen_path": made.seen,
    }
    if files.pretrained:
        adopt_encoder(files.pretrained, files.population, files.subjects, model, **outputs)
    else:
        weight = training["regularization"]
        if files.regularization:
            weight = json.loads(Path(files.regularization).read_text())["weight"]
        settings = TrainingSettings.of(model, training, weight)
        train_encoder(
            population_path=files.population,
            subjects_path=files.subjects,
            settings=settings,
            seed=snakemake.params.seed,
            checkpoint_path=Path(made.encoder).with_name("checkpoint.pt"),
            digest=f"{settings} {snakemake.params.seed} {snakemake.params.code}",
            person_column=snakemake.params.person_column,
            initial_landmarks=files.initial,
            what=f"training {snakemake.wildcards.run}",
            **outputs,
        )
