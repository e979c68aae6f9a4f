# A table of contents: the plan says what must exist, the rules say how it is made.
import os
import sys
from pathlib import Path
from shlex import quote

from mixlab.plan.job_flow import open_flow

flow = open_flow(Path.cwd(), config, workflow.is_main_process, os.environ)
HERE = quote(sys.executable)
OWN = f"env PYTHONPATH={quote(str(Path(workflow.basedir, 'src')))} python"
PYTHON = OWN if workflow.deployment_settings.deployment_method else HERE
RUN = f"{PYTHON} -P {quote(str(Path(workflow.basedir, 'workflow', 'scripts')))}"
MIXLAB = f"{PYTHON} -m mixlab.cli"
TRACK = f"{HERE} -m mixlab.cli track --after-run {quote(str(flow.plan_file))}"


# built from envs/mixlab.def; used with --software-deployment-method apptainer alone
container: "envs/mixlab.sif"


wildcard_constraints:
    key="[0-9a-f]{16}",


rule all:
    default_target: True
    input:
        flow.targets,
    localrule: True


include: "rules/remote.smk"
include: "rules/sources.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/report.smk"


onstart:
    flow.start(workflow, os.environ)


onsuccess:
    shell("{TRACK}")


onerror:
    shell("{TRACK}")
