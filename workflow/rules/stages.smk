# One rule for each stage of dvc.yaml. DVC decides whether the stage has to run, and records the run in dvc.lock.
# With `--software-deployment-method conda` the one of the environment
PYTHON = "python" if workflow.deployment_settings.deployment_method else sys.executable
# For `snakemake --report`: the files of the report that have a caption
CAPTIONS = {
    path: f"workflow/report/{Path(path).stem}.rst"
    for stage in STAGES
    for path in stage.outs
    if path.startswith("results/report/")
    and Path(path).exists()
    and (ROOT / f"workflow/report/{Path(path).stem}.rst").exists()
}


for stage in STAGES:

    rule:
        name:
            stage.rule
        input:
            PLAN.made,
            stage.inputs,
        output:
            stage.marker,
        log:
            f"logs/{stage.rule}.log",
        conda:
            "../envs/stage.yaml"
        threads: stage.threads
        resources:
            **PLAN.resources(stage),
        params:
            python=PYTHON,
            job=stage.job,
        message:
            f"{stage.name}: dvc --cd {stage.project} repro -s (log: logs/{stage.rule}.log)"
        shell:
            "{params.python:q} -m intrada.pipeline.job {params.job:q} --log {log:q}"


# Every file and folder is a target too
for path, stage in bridge.aliases(STAGES, WORDS).items():

    rule:
        name:
            path
        input:
            stage.marker,
