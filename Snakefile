# snakemake --cores all --resources gpu=1        snakemake ablation --cores all
# The rules are generated from dvc.yaml, and each job runs `dvc repro` on one stage (intrada/pipeline/bridge.py). Snakemake
# adds parallel jobs, limits for cores and GPUs, clusters and logs.
import atexit
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))  # in a checkout, intrada/ is beside this file

from intrada.core import garbage

garbage.search_rarely()  # before DVC is imported

from intrada.commands import validate
from intrada.core import plain_text
from intrada.core.errors import UserError
from intrada.pipeline import bridge, job, plan

plain_text.show()
plan.use_own_python()
MAIN = workflow.is_main_process
WORDS = sys.argv[1:] if MAIN else ["ablation"]  # a job's own process needs all rules
try:
    if Path.cwd() != ROOT.resolve():  # the paths in dvc.yaml are relative to it
        raise UserError("Snakefile", f"started in {Path.cwd()}", "the project's folder", f"cd '{ROOT}'")
    plan.refuse(workflow.config_settings, WORDS)
    PARAMS = validate.load(ROOT / "params.yaml")  # an invalid file stops here, before any job
    STAGES = bridge.stages(
        ROOT,
        bridge.projects(WORDS),
        main=MAIN,
        dry=workflow.output_settings.dryrun,
        on_cpu=PARAMS.compute.device == "cpu",  # then jobs share the cores and need no GPU slot
    )
except UserError as error:
    sys.exit(str(error))  # the message alone, without Snakemake's traceback
PLAN = plan.Plan(workflow, ROOT, STAGES, PARAMS)


include: "workflow/rules/stages.smk"


rule all:
    default_target: True
    input:
        [stage.marker for stage in STAGES if not stage.of_ablation],
        [report(path, caption=caption, category="Results") for path, caption in CAPTIONS.items()],


rule ablation:
    input:
        [stage.marker for stage in STAGES if stage.of_ablation],


onstart:  # at the exit, because Snakemake prints more after `onerror`
    atexit.register(lambda: print(job.failures(), end="", file=sys.stderr))
