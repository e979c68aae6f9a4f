# Training: base models, instruction pre-training, averaging, fine-tuning.


rule pretrain:
    input:
        flow.inputs("pretrain"),
    output:
        update("artifacts/pretrain/{key}/manifest.json"),
    log:
        "logs/pretrain/{key}.log",
    wildcard_constraints:
        key=flow.pattern("pretrain"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("pretrain")
    resources:
        mem_mb=flow.memory_mib("pretrain"),
        runtime=flow.minutes("pretrain"),
        gpu=flow.gpus("pretrain"),
    params:
        command=flow.command(RUN, "pretrain"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


rule ipt:
    input:
        flow.inputs("ipt"),
    output:
        update("artifacts/ipt/{key}/manifest.json"),
    log:
        "logs/ipt/{key}.log",
    wildcard_constraints:
        key=flow.pattern("ipt"),
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("ipt")
    resources:
        mem_mb=flow.memory_mib("ipt"),
        runtime=flow.minutes("ipt"),
        gpu=flow.gpus("ipt"),
    params:
        command=flow.command(RUN, "ipt"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"


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
        mem_mb=flow.memory_mib("average"),
        runtime=flow.minutes("average"),
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
    conda:
        "../envs/mixlab.yaml"
    threads: flow.threads("sft")
    resources:
        mem_mb=flow.memory_mib("sft"),
        runtime=flow.minutes("sft"),
        gpu=flow.gpus("sft"),
    params:
        command=flow.command(RUN, "sft"),
    shell:
        "{params.command} --key {wildcards.key} 2> {log}"
