# One rule a stage, made from dvc.yaml. DVC decides whether anything is computed, and remembers it.
for stage in STAGES:

    rule:
        name:
            stage.rule
        input:
            stage.inputs,
        output:
            stage.outputs,
        log:
            f"logs/{stage.rule}.log",
        threads: stage.threads
        resources:
            **stage.resources,
        params:
            stage=stage.name,
        message:
            f"{stage.name}: dvc repro -s (log: logs/{stage.rule}.log)"
        shell:
            "{sys.executable:q} -m dvc --wait-for-lock repro -s {params.stage:q} > {log:q} 2>&1"
            " || {{ tail -n 20 {log:q}; exit 1; }}"
