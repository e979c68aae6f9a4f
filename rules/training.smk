# Training: base models, instruction pre-training, averaging, fine-tuning.


rule base_model:
    input:
        flow.inputs("base_model"),
    output:
        update("artifacts/base_model/{key}/manifest.json"),
    log:
        "logs/base_model/{key}.log",
    wildcard_constraints:
        key=flow.pattern("base_model"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("base_model")
    resources:
        **flow.asked("base_model"),
    params:
        command=flow.command(RUN, "base_model"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule pretrain:
    input:
        flow.inputs("pretrain"),
    output:
        update("artifacts/pretrain/{key}/manifest.json"),
    log:
        "logs/pretrain/{key}.log",
    wildcard_constraints:
        key=flow.pattern("pretrain"),
    retries: flow.retries("pretrain")
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("pretrain")
    resources:
        **flow.asked("pretrain"),
    params:
        command=flow.command(RUN, "pretrain"),
    shell:
        "exec {params.command} --key {wildcards.key} 2> {log}"


rule ipt:
    input:
        flow.inputs("ipt"),
    output:
        update("artifacts/ipt/{key}/manifest.json"),
    log:
        "logs/ipt/{key}.log",
    wildcard_constraints:
        key=flow.pattern("ipt"),
    retries: flow.retries("ipt")
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("ipt")
    resources:
        **flow.asked("ipt"),
    params:
        command=flow.command(RUN, "ipt"),
    shell:
        "exec {params.command} --key {wildcards.key} 2> {log}"


rule average:
    input:
        flow.inputs("average"),
    output:
        update("artifacts/average/{key}/manifest.json"),
    log:
        "logs/average/{key}.log",
    wildcard_constraints:
        key=flow.pattern("average"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("average")
    resources:
        **flow.asked("average"),
    params:
        command=flow.command(RUN, "average"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule sft:
    input:
        flow.inputs("sft"),
    output:
        update("artifacts/sft/{key}/manifest.json"),
    log:
        "logs/sft/{key}.log",
    wildcard_constraints:
        key=flow.pattern("sft"),
    retries: flow.retries("sft")
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("sft")
    resources:
        **flow.asked("sft"),
    params:
        command=flow.group_command(RUN, "sft"),
    shell:
        "exec {params.command} 2> {log}"
