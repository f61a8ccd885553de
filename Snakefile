# snakemake --cores all --resources gpu=1        snakemake ablation --cores all
# The rules are generated from dvc.yaml, and each job runs `dvc repro` on one stage (intrada/pipeline/bridge.py). Snakemake
# adds parallel jobs, limits for cores and GPUs, clusters and logs.
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
    if Path.cwd() != ROOT.resolve():  # the paths in dvc.yaml are relative to it
        raise UserError("Snakefile", f"started in {Path.cwd()}", "the project's folder", f"cd '{ROOT}'")
    CHOSEN = validate.load(ROOT / "params.yaml")  # an invalid params file stops here, before any job
    CHECKOUT = bridge.hold_lock() if MAIN and not workflow.dryrun else None
    PROJECTS = bridge.projects(sys.argv[1:] if MAIN else ["ablation"])  # a job's own process needs the rules of both projects
    ON_CPU = CHOSEN.compute.device == "cpu"  # then jobs share the cores and need no GPU slot
    STAGES = bridge.stages(ROOT, PROJECTS, fresh=MAIN, dry=workflow.dryrun, on_cpu=ON_CPU)
except UserError as error:
    raise WorkflowError(str(error)) from None

# Default: GPU jobs run one after another. With --resources gpu=N a job that asks for more than N gets N.
workflow.global_resources.setdefault("gpu", CHOSEN.compute.devices)


rule all:
    input:
        [path for stage in STAGES if not stage.of_ablation for path in stage.outputs],
    default_target: True


rule ablation:
    input:
        [path for stage in STAGES if stage.of_ablation for path in stage.outputs],


include: "workflow/rules/stages.smk"
