"""Figures of every run."""


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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
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
        origin=origin_of,
        code=code("plot_mean_shapes"),
    message:
        "Plotting the mean shapes of {wildcards.run}"
    script:
        "../workflow_scripts/plot_mean_shapes.py"
