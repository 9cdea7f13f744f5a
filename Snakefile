# Landmark shape descriptors by unsupervised registration (Bhalodia et al., MedIA 2021).
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


report: "report/workflow.rst"


# of `--sdm apptainer` alone: the image made from the Dockerfile, docs/quickstart.md
container: "lmcore.sif"


include: "rules/common.smk"


rule all:
    """Every experiment of `run` with its variants, the paper's figures, the summary."""
    input:
        [results_of(run) for run in shipped()],
        figures_of_the_paper(),
        "<results>/summary.csv",
        "<results>/provenance.csv",
        "<benchmarks>/schedule.png",


include: "rules/population.smk"
include: "rules/particles.smk"
include: "rules/training.smk"
include: "rules/landmarks.smk"
include: "rules/analysis.smk"
include: "rules/numbers.smk"
include: "rules/figures.smk"
include: "rules/paper_figures.smk"
include: "rules/targets.smk"
