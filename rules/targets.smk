"""What can be asked for beside everything: one experiment, the paper's figures, the studies."""

for name in config["run"]:

    rule:
        name:
            name
        input:
            [results_of(run) for run in shipped() if run.experiment == name],


rule figures:
    """The figures of the paper."""
    input:
        figures_of_the_paper(),


rule studies:
    """The figure of every study, and the variants that only a study needs."""
    input:
        expand("<results>/studies/{study}.png", study=config["studies"]),
        [results_of(run) for run in RUNS.values() if run.is_study],
