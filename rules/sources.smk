# Sources: records, what is wrong with them, and what is left of them.


rule source:
    input:
        flow.inputs("source"),
    output:
        update("artifacts/source/{key}/manifest.json"),
    log:
        "logs/source/{key}.log",
    wildcard_constraints:
        key=flow.pattern("source"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("source")
    resources:
        **flow.asked("source"),
    params:
        command=flow.command(RUN, "source"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule contamination:
    input:
        flow.inputs("contamination"),
    output:
        update("artifacts/contamination/{key}/manifest.json"),
    log:
        "logs/contamination/{key}.log",
    wildcard_constraints:
        key=flow.pattern("contamination"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("contamination")
    resources:
        **flow.asked("contamination"),
    params:
        command=flow.command(RUN, "contamination"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule label:
    input:
        flow.inputs("label"),
    output:
        update("artifacts/label/{key}/manifest.json"),
    log:
        "logs/label/{key}.log",
    wildcard_constraints:
        key=flow.pattern("label"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("label")
    resources:
        **flow.asked("label"),
    params:
        command=flow.command(RUN, "label"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule filter:
    input:
        flow.inputs("filter"),
    output:
        update("artifacts/filter/{key}/manifest.json"),
    log:
        "logs/filter/{key}.log",
    wildcard_constraints:
        key=flow.pattern("filter"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("filter")
    resources:
        **flow.asked("filter"),
    params:
        command=flow.command(RUN, "filter"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"
