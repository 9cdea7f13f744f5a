"""Figures of every run, and the paper's figures."""


rule plot_population:
    """What preprocessing made of the images."""
    input:
        population=population_of,
        subjects=subjects_of,
    output:
        png=report(
            ensure("<results>/{experiment}/figures/population.png", non_empty=True),
            caption="../report/population.rst",
            category="{experiment}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{experiment}/figures/population.pdf", non_empty=True),
    log:
        "<logs>/{experiment}/plot_population.log",
    conda:
        "../envs/core.yaml"
    params:
        class_column=setting("population/class"),
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_population"),
    message:
        "Plotting the population of {wildcards.experiment}"
    script:
        "../workflow_scripts/plot_population.py"


rule plot_training:
    """Losses and condition number over the training."""
    input:
        history="<results>/{run}/model/history.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/training.png", non_empty=True),
            caption="../report/training.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/training.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_training.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_training"),
    message:
        "Plotting the training of {wildcards.run}"
    script:
        "../workflow_scripts/plot_training.py"


rule plot_landmarks:
    """The retained landmarks on test subjects."""
    input:
        population=population_of,
        subjects=subjects_of,
        landmarks="<results>/{run}/landmarks/retained.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/landmarks.png", non_empty=True),
            caption="../report/landmarks.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/landmarks.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_landmarks.log",
    conda:
        "../envs/core.yaml"
    params:
        class_column=setting("population/class"),
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_landmarks"),
    message:
        "Plotting the landmarks of {wildcards.run}"
    script:
        "../workflow_scripts/plot_landmarks.py"


rule plot_registration:
    """Some registrations of test subjects."""
    input:
        examples="<results>/{run}/analysis/examples.h5",
    output:
        png=report(
            ensure("<results>/{run}/figures/registration.png", non_empty=True),
            caption="../report/registration.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/registration.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_registration.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_registration"),
    message:
        "Plotting the registration of {wildcards.run}"
    script:
        "../workflow_scripts/plot_registration.py"


rule plot_importance:
    """What the registration loses with each landmark."""
    input:
        importance="<results>/{run}/landmarks/importance.csv",
        retained="<results>/{run}/landmarks/retained.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/importance.png", non_empty=True),
            caption="../report/importance.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/importance.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_importance.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_importance"),
    message:
        "Plotting the importance of {wildcards.run}"
    script:
        "../workflow_scripts/plot_importance.py"


rule plot_regularization:
    """Registration loss against lambda."""
    input:
        regularization="<results>/{run}/regularization.csv",
        choice="<results>/{run}/regularization.json",
    output:
        png=report(
            ensure("<results>/{run}/figures/regularization.png", non_empty=True),
            caption="../report/regularization.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/regularization.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_regularization.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_regularization"),
    message:
        "Plotting the regularization of {wildcards.run}"
    script:
        "../workflow_scripts/plot_regularization.py"


rule plot_clustering:
    """Classes and clusters on two principal components."""
    input:
        clustering="<results>/{run}/analysis/clustering.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/clustering.png", non_empty=True),
            caption="../report/clustering.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/clustering.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_clustering.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_clustering"),
    message:
        "Plotting the clustering of {wildcards.run}"
    script:
        "../workflow_scripts/plot_clustering.py"


rule plot_classification:
    """Which class is taken for which, and how sure of it one can be."""
    input:
        classification="<results>/{run}/analysis/classification.csv",
        predictions="<results>/{run}/analysis/classification.predictions.csv",
        numbers="<results>/{run}/analysis/classification.numbers.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/classification.png", non_empty=True),
            caption="../report/classification.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/classification.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_classification.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_classification"),
    message:
        "Plotting the classification of {wildcards.run}"
    script:
        "../workflow_scripts/plot_classification.py"


rule plot_shape_model:
    """Quality of the shape models against the number of modes, and their first modes."""
    input:
        table="<results>/{run}/analysis/shape_model.csv",
        modes="<results>/{run}/analysis/shape_model.h5",
    output:
        png=report(
            ensure("<results>/{run}/figures/shape_model.png", non_empty=True),
            caption="../report/shape_model.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/shape_model.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_shape_model.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_shape_model"),
    message:
        "Plotting the shape models of {wildcards.run}"
    script:
        "../workflow_scripts/plot_shape_model.py"


rule plot_severity:
    """Distances from the controls by group, and what they agree with."""
    input:
        unpack(particles_of),
        severity="<results>/{run}/analysis/severity.csv",
        numbers="<results>/{run}/analysis/severity.numbers.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/severity.png", non_empty=True),
            caption="../report/severity.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/severity.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_severity.log",
    conda:
        "../envs/core.yaml"
    params:
        control=setting("population/control"),
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_severity"),
    message:
        "Plotting the severity of {wildcards.run}"
    script:
        "../workflow_scripts/plot_severity.py"


rule plot_mean_shapes:
    """Distance of two mean shapes, where it is more than chance, and Mahalanobis distances."""
    input:
        content="<results>/{run}/analysis/mean_shapes.h5",
        table="<results>/{run}/analysis/mean_shapes.csv",
        numbers="<results>/{run}/analysis/mean_shapes.numbers.csv",
    output:
        png=report(
            ensure("<results>/{run}/figures/mean_shapes.png", non_empty=True),
            caption="../report/mean_shapes.rst",
            category="{run}",
            subcategory="figures",
        ),
        pdf=ensure("<results>/{run}/figures/mean_shapes.pdf", non_empty=True),
    log:
        "<logs>/{run}/plot_mean_shapes.log",
    conda:
        "../envs/core.yaml"
    params:
        origin=lambda wildcards: origin_of(run_of(wildcards)),
        code=code("plot_mean_shapes"),
    message:
        "Plotting the mean shapes of {wildcards.run}"
    script:
        "../workflow_scripts/plot_mean_shapes.py"


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
        benchmarks=config["pathvars"]["benchmarks"],
        runs=[run for run in RUNS if not is_study(run)],
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
        origin=lambda wildcards: origin_of("diatoms"),
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
        origin=lambda wildcards: origin_of("diatoms"),
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
        origin=lambda wildcards: origin_of("metopic"),
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
            if "metopic" in RUNS and has_particles("metopic")
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
        origin=lambda wildcards: origin_of("metopic"),
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
        origin=lambda wildcards: origin_of("camfai"),
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
        origin=lambda wildcards: origin_of("camfai"),
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
        origin=lambda wildcards: origin_of("camfai"),
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
        origin=lambda wildcards: origin_of("cardiac"),
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
