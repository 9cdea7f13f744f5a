"""Figures over several runs: the schedule, the paper's figures, the studies."""


rule plot_schedule:
    """When the jobs of all runs ran. It lies with the times, apart from what never changes."""
    input:
        "<results>/summary.csv",
    output:
        png=report(
            ensure("<benchmarks>/schedule.png", non_empty=True),
            caption="../report/schedule.rst",
            category="Summary",
        ),
        pdf=ensure("<benchmarks>/schedule.pdf", non_empty=True),
    log:
        "<logs>/plot_schedule.log",
    conda:
        "../envs/core.yaml"
    params:
        runs=[run.name for run in shipped()],
        code=code("plot_schedule"),
    message:
        "Plotting the schedule of all runs"
    script:
        "../workflow_scripts/plot_schedule.py"


rule plot_figure_2:
    """Fig. 2: what regularization and redundancy removal do."""
    input:
        population="<results>/diatoms/population.h5",
        subjects="<results>/diatoms/subjects.csv",
        unregularized="<results>/diatoms/variants/unregularized/landmarks/all.csv",
        regularized="<results>/diatoms/landmarks/all.csv",
        retained="<results>/diatoms/landmarks/retained.csv",
    output:
        png=report(
            ensure("<results>/figures/figure_2.png", non_empty=True),
            caption="../report/figure_2.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_2.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_2.log",
    conda:
        "../envs/core.yaml"
    params:
        class_column=lambda wildcards: RUNS["diatoms"]["population"]["class"],
        origin=lambda wildcards: RUNS["diatoms"].origin,
        code=code("plot_figure_2"),
    message:
        "Plotting figure 2"
    script:
        "../workflow_scripts/plot_figure_2.py"


rule plot_figure_3:
    """Fig. 3: landmarks, lambda, classes and clusters of the diatoms."""
    input:
        population="<results>/diatoms/population.h5",
        subjects="<results>/diatoms/subjects.csv",
        landmarks="<results>/diatoms/landmarks/retained.csv",
        regularization="<results>/diatoms/regularization.csv",
        choice="<results>/diatoms/regularization.json",
        clustering="<results>/diatoms/analysis/clustering.csv",
        clustering_numbers="<results>/diatoms/analysis/clustering.numbers.csv",
    output:
        png=report(
            ensure("<results>/figures/figure_3.png", non_empty=True),
            caption="../report/figure_3.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_3.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_3.log",
    conda:
        "../envs/core.yaml"
    params:
        class_column=lambda wildcards: RUNS["diatoms"]["population"]["class"],
        origin=lambda wildcards: RUNS["diatoms"].origin,
        code=code("plot_figure_3"),
    message:
        "Plotting figure 3"
    script:
        "../workflow_scripts/plot_figure_3.py"


rule plot_figure_4:
    """Fig. 4: a metopic skull registered to a metopic one and to a control."""
    input:
        examples="<results>/metopic/analysis/group_examples.h5",
        subjects="<results>/metopic/subjects.csv",
    output:
        png=report(
            ensure("<results>/figures/figure_4.png", non_empty=True),
            caption="../report/figure_4.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_4.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_4.log",
    conda:
        "../envs/surfaces.yaml"
    params:
        class_column=lambda wildcards: RUNS["metopic"]["population"]["class"],
        origin=lambda wildcards: RUNS["metopic"].origin,
        code=code("plot_figure_4"),
    message:
        "Plotting figure 4"
    script:
        "../workflow_scripts/plot_figure_4.py"


rule plot_figure_5:
    """Fig. 5: severity of the metopic skulls by distance from the controls."""
    input:
        severity="<results>/metopic/analysis/severity.csv",
        numbers="<results>/metopic/numbers.csv",
        engine=(
            "<results>/metopic/particles/engine.json"
            if "metopic" in RUNS and RUNS["metopic"]["particles"]
            else []
        ),
    output:
        png=report(
            ensure("<results>/figures/figure_5.png", non_empty=True),
            caption="../report/figure_5.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_5.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_5.log",
    conda:
        "../envs/core.yaml"
    params:
        control=lambda wildcards: RUNS["metopic"]["population"]["control"],
        origin=lambda wildcards: RUNS["metopic"].origin,
        code=code("plot_figure_5"),
    message:
        "Plotting figure 5"
    script:
        "../workflow_scripts/plot_figure_5.py"


rule plot_figure_6:
    """Fig. 6: where the cam lies, and the mask on the median control."""
    input:
        population="<results>/camfai/population.h5",
        content="<results>/camfai/analysis/mean_shapes.h5",
    output:
        png=report(
            ensure("<results>/figures/figure_6.png", non_empty=True),
            caption="../report/figure_6.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_6.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_6.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: RUNS["camfai"].origin,
        code=code("plot_figure_6"),
    message:
        "Plotting figure 6"
    script:
        "../workflow_scripts/plot_figure_6.py"


rule plot_figure_7:
    """Fig. 7: a cam femur registered to a normal one, and its close-up in the region."""
    input:
        population="<results>/camfai/population.h5",
        subjects="<results>/camfai/subjects.csv",
        examples="<results>/camfai/analysis/group_examples.h5",
    output:
        png=report(
            ensure("<results>/figures/figure_7.png", non_empty=True),
            caption="../report/figure_7.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_7.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_7.log",
    conda:
        "../envs/core.yaml"
    params:
        class_column=lambda wildcards: RUNS["camfai"]["population"]["class"],
        origin=lambda wildcards: RUNS["camfai"].origin,
        code=code("plot_figure_7"),
    message:
        "Plotting figure 7"
    script:
        "../workflow_scripts/plot_figure_7.py"


rule plot_figure_8:
    """Fig. 8: distance of the cam mean from the normal mean, and Mahalanobis distances."""
    input:
        content="<results>/camfai/analysis/mean_shapes.h5",
        table="<results>/camfai/analysis/mean_shapes.csv",
        numbers="<results>/camfai/analysis/mean_shapes.numbers.csv",
    output:
        png=report(
            ensure("<results>/figures/figure_8.png", non_empty=True),
            caption="../report/figure_8.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_8.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_8.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: RUNS["camfai"].origin,
        code=code("plot_figure_8"),
    message:
        "Plotting figure 8"
    script:
        "../workflow_scripts/plot_figure_8.py"


rule plot_figure_9:
    """Fig. 9: a left atrium registered to another, and slices of both scans."""
    input:
        examples="<results>/cardiac/analysis/examples.h5",
    output:
        png=report(
            ensure("<results>/figures/figure_9.png", non_empty=True),
            caption="../report/figure_9.rst",
            category="Figures of the paper",
            subcategory="figures",
        ),
        pdf=ensure("<results>/figures/figure_9.pdf", non_empty=True),
    log:
        "<logs>/plot_figure_9.log",
    conda:
        "../envs/surfaces.yaml"
    params:
        origin=lambda wildcards: RUNS["cardiac"].origin,
        code=code("plot_figure_9"),
    message:
        "Plotting figure 9"
    script:
        "../workflow_scripts/plot_figure_9.py"


rule plot_study:
    """Numbers of several runs against what tells the runs apart."""
    input:
        table="<results>/studies/{study}.csv",
    output:
        png=report(
            ensure("<results>/studies/{study}.png", non_empty=True),
            caption="../report/study.rst",
            category="Studies",
            subcategory="figures",
        ),
        pdf=ensure("<results>/studies/{study}.pdf", non_empty=True),
    log:
        "<logs>/plot_study_{study}.log",
    conda:
        "../envs/core.yaml"
    params:
        study=study_of,
        origin=lambda wildcards: origins_of(study_of(wildcards)["runs"]),
        code=code("plot_study"),
    message:
        "Plotting the study {wildcards.study}"
    script:
        "../workflow_scripts/plot_study.py"
