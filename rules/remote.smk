# Targets by stage, and what is fetched instead of made.

for stage in flow.stages:

    rule:
        name:
            f"stage_{stage}"
        input:
            flow.wanted(stage),
        localrule: True


if flow.fetched:

    rule fetch:
        output:
            update(flow.fetched),
        log:
            "logs/fetch/wanted.log",
        localrule: True
        conda:
            "../envs/mixlab.yaml"
        params:
            command=f"{MIXLAB} restore --plan {quote(str(flow.plan_file))}",
        shell:
            "{params.command} 2> {log}"


rule fetch_single:
    output:
        update("artifacts/{name}/manifest.json"),
    log:
        "logs/fetch/{name}.log",
    wildcard_constraints:
        name=flow.single_fetch_pattern,
    localrule: True
    conda:
        "../envs/mixlab.yaml"
    params:
        command=f"{MIXLAB} restore",
        key=lambda wildcards: Path(wildcards.name).name,
    shell:
        "{params.command} {params.key} 2> {log}"
