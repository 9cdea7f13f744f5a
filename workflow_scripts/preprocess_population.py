"""Adapter of the rule preprocess_population."""

from lmcore.job import job
from lmcore.population.build import preprocess_population

with job(snakemake):
    pretrained = None
    if snakemake.input.pretrained:  # its images have to be prepared as it knows them
        from lmcore.discovery.encoder_file import read_encoder_file

        pretrained = read_encoder_file(snakemake.input.pretrained)["preprocessing"]
    preprocess_population(
        table=snakemake.input.table,
        root=snakemake.params.root,
        settings=snakemake.params.settings,
        fractions=snakemake.params.split,
        class_column=snakemake.params.class_column,
        person_column=snakemake.params.person_column,
        seed=snakemake.params.seed,
        population_path=snakemake.output.population,
        subjects_path=snakemake.output.subjects,
        workers=snakemake.threads,
        digest=snakemake.params.digest,
        control=snakemake.params.control,
        train_on=snakemake.params.train_on,
        segmentation_label=snakemake.params.segmentation_label,
        pretrained=pretrained,
    )
