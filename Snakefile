# A table of contents: the plan says what must exist, the rules say how it is made.
import os
import sys
from pathlib import Path
from shlex import quote

from mixlab.artifacts.errors import ArtifactError
from mixlab.config.problems import UserError
from mixlab.plan.job_flow import exit_with, open_flow

try:
    flow = open_flow(Path.cwd(), config, workflow.is_main_process, os.environ)
except (UserError, ArtifactError) as error:
    exit_with(error)

RUN = f"{quote(sys.executable)} -P {quote(str(Path(workflow.basedir, 'workflow', 'scripts')))}"
MIXLAB = f"{quote(sys.executable)} -m mixlab.cli"
TRACK = f"{MIXLAB} track --after-run {quote(str(flow.plan_file))}"


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
