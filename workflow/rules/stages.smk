# One rule for each stage of dvc.yaml. DVC decides whether the stage has to run, and records the run in dvc.lock.
def described(path):
    """Mark an output of the stage `report` that has a caption for `snakemake --report`; else return `path`."""
    caption = f"workflow/report/{Path(path).stem}.rst"
    if not path.startswith("results/report/") or not (ROOT / caption).exists():
        return path
    return report(path, caption=f"../../{caption}", category="Results")


for stage in STAGES:

    rule:
        name:
            stage.rule
        input:
            stage.inputs,
        output:
            [described(path) for path in stage.outputs],
        log:
            f"logs/{stage.rule}.log",
        threads: stage.threads
        resources:
            **stage.resources,
        params:
            project=stage.project,
            stage=stage.name,
        message:
            f"{stage.name}: dvc --cd {stage.project} repro -s (log: logs/{stage.rule}.log)"
        shell:
            "{sys.executable:q} -m dvc --cd {params.project:q} --wait-for-lock repro -s {params.stage:q} > {log:q} 2>&1"
            " || {{ tail -n 20 {log:q}; exit 1; }}"
