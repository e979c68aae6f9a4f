# Evaluation: one process per model for all its missing benchmarks. Rules are made from the plan.

for group in flow.groups("generate"):

    rule:
        name:
            f"generate_{group.key}"
        input:
            group.inputs,
        output:
            update(group.outputs),
        log:
            f"logs/generate/{group.key}.log",
        params:
            script=SCRIPTS + "/generate.py",
            work=group.keys,
        threads: flow.threads("generate")
        resources:
            mem_mb=flow.memory_mib("generate"),
            runtime=flow.minutes("generate"),
        shell:
            "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {params.work} 2> {log:q}"



for group in flow.groups("score"):

    rule:
        name:
            f"score_{group.key}"
        input:
            group.inputs,
        output:
            update(group.outputs),
        log:
            f"logs/score/{group.key}.log",
        params:
            script=SCRIPTS + "/score.py",
            work=group.keys,
        threads: flow.threads("score")
        resources:
            mem_mb=flow.memory_mib("score"),
            runtime=flow.minutes("score"),
        shell:
            "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {params.work} 2> {log:q}"



for group in flow.groups("judge"):

    rule:
        name:
            f"judge_{group.key}"
        input:
            group.inputs,
        output:
            update(group.outputs),
        log:
            f"logs/judge/{group.key}.log",
        params:
            script=SCRIPTS + "/judge.py",
            work=group.keys,
        threads: flow.threads("judge")
        resources:
            mem_mb=flow.memory_mib("judge"),
            runtime=flow.minutes("judge"),
        shell:
            "{PYTHON:q} {params.script:q} --plan {flow.plan_file:q} --key {params.work} 2> {log:q}"

