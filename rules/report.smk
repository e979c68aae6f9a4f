# Tables and pages.


rule scores:
    input:
        flow.inputs("scores"),
    output:
        update("artifacts/scores/{key}/manifest.json"),
    log:
        "logs/scores/{key}.log",
    wildcard_constraints:
        key=flow.pattern("scores"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("scores")
    resources:
        **flow.asked("scores"),
    params:
        command=flow.group_command(RUN, "scores"),
    shell:
        "{params.command} 2> {log}"


rule aggregate:
    input:
        flow.inputs("aggregate"),
    output:
        update("artifacts/aggregate/{key}/manifest.json"),
    log:
        "logs/aggregate/{key}.log",
    wildcard_constraints:
        key=flow.pattern("aggregate"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("aggregate")
    resources:
        **flow.asked("aggregate"),
    params:
        command=flow.command(RUN, "aggregate"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule report:
    input:
        flow.inputs("report"),
    output:
        update("artifacts/report/{key}/manifest.json"),
    log:
        "logs/report/{key}.log",
    wildcard_constraints:
        key=flow.pattern("report"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("report")
    resources:
        **flow.asked("report"),
    params:
        command=flow.command(RUN, "report"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"
