"""The workflow, and a job that needs more time than its first attempt is given."""

include: "Snakefile"


rule take_time:
    output:
        "results/slow.txt",
    log:
        "results/logs/slow.log",
    resources:
        mem=per_attempt("100MB"),
        runtime=per_attempt("1m"),
    shell:
        "sleep 100; date > {output}"
