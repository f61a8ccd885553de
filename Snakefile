# snakemake --cores all --resources gpu=1        snakemake ablation --cores all
# dvc.yaml defines the stages and dvc.lock remembers them; Snakemake adds parallel jobs, cores, GPU
# slots, clusters and logs (see intrada/pipeline/bridge.py).
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from intrada.commands import validate
from intrada.core.errors import UserError
from intrada.pipeline import bridge

MAIN = workflow.is_main_process
try:
    if Path.cwd() != ROOT.resolve():  # dvc.yaml's paths are relative to it
        raise UserError("Snakefile", f"started in {Path.cwd()}", "the project's folder", f"cd '{ROOT}'")
    CHOSEN = validate.load(ROOT / "params.yaml")  # a wrong params file stops here, before anything runs
    CHECKOUT = bridge.hold_lock() if MAIN and not workflow.dryrun else None
    PROJECTS = bridge.projects(sys.argv[1:] if MAIN else ["ablation"])  # of a job: any of them
    ON_CPU = CHOSEN.compute.device == "cpu"  # then jobs share the cores, and no GPU slot is taken
    STAGES = bridge.stages(ROOT, PROJECTS, fresh=MAIN, dry=workflow.dryrun, on_cpu=ON_CPU)
except UserError as error:
    raise WorkflowError(str(error)) from None

# GPU jobs take turns unless --resources gpu=N says otherwise; one that asks for more than N gets N of it.
workflow.global_resources.setdefault("gpu", CHOSEN.compute.devices)


rule all:
    input:
        [path for stage in STAGES if not stage.of_ablation for path in stage.outputs],
    default_target: True


rule ablation:
    input:
        [path for stage in STAGES if stage.of_ablation for path in stage.outputs],


include: "workflow/rules/stages.smk"
