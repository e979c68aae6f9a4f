"""The one table of stages: whatever a stage needs elsewhere, a test asks for by this table."""

from dataclasses import dataclass
from typing import Literal

from mixlab.plan import specs
from mixlab.plan.specs import Spec


@dataclass(frozen=True)
class Stage:
    """One stage: its spec, what equal runs have in common, where it runs, and what it makes in one line.

    `reproducible: bytes` promises equal bytes on one process with fixed threads and equal provenance; `numeric`
    promises equal numbers up to rounding. `grouped`: one process serves all artifacts of a model, or of several.
    """

    name: str
    spec: type[Spec]
    makes: str
    reproducible: Literal["bytes", "numeric"] = "bytes"
    grouped: bool = False
    discardable: bool = True


_TABLE = (
    Stage("source", specs.SourceSpec, "records of a source, or an index of the files that hold them"),
    Stage(
        "contamination",
        specs.ContaminationSpec,
        "records of a source that hold parts of benchmark items",
        discardable=False,
    ),
    Stage("label", specs.LabelSpec, "the category of each record of a source", discardable=False),
    Stage("filter", specs.FilterSpec, "which records of a source stay, and why the others do not", discardable=False),
    Stage("tokenizer", specs.TokenizerSpec, "a tokenizer trained on its own list of sources"),
    Stage("tokenize_shard", specs.TokenizeShardSpec, "tokens of one stretch of a large source"),
    Stage("tokenize", specs.TokenizeSpec, "tokens of a source, with the spans of responses"),
    Stage("pack", specs.PackSpec, "windows over a token store, for one sequence length"),
    Stage("mixture", specs.MixtureSpec, "a plan of windows with exact shares, and its certificate"),
    Stage(
        "counts", specs.CountsSpec, "samples and tokens of every source, by language and category", discardable=False
    ),
    Stage("base_model", specs.BaseModelSpec, "a base model that somebody else trained, fitted to its tokenizer"),
    Stage("pretrain", specs.PretrainSpec, "a base model trained from scratch", reproducible="numeric"),
    Stage("ipt", specs.IptSpec, "the last snapshots of instruction pre-training", reproducible="numeric"),
    Stage("average", specs.AverageSpec, "one model, the mean of the last snapshots"),
    Stage("sft", specs.SftSpec, "a fine-tuned model", reproducible="numeric"),
    Stage("generate", specs.GenerateSpec, "responses to a benchmark", reproducible="numeric", grouped=True),
    Stage("score", specs.ScoreSpec, "right or wrong, item by item", grouped=True),
    Stage("judge", specs.JudgeSpec, "ratings by a judge, turn by turn", grouped=True),
    Stage(
        "judge_pairs",
        specs.JudgePairsSpec,
        "which of two models answered better, turn by turn in both orders",
        reproducible="numeric",
        grouped=True,
    ),
    Stage("scores", specs.ScoresSpec, "all scores of one model as tidy rows", grouped=True),
    Stage("aggregate", specs.AggregateSpec, "all scores of a study, means and effects", discardable=False),
    Stage("report", specs.ReportSpec, "tables, figures and the page", discardable=False),
)

STAGES: dict[str, Stage] = {stage.name: stage for stage in _TABLE}
STAGE_OF_SPEC: dict[type[Spec], str] = {stage.spec: stage.name for stage in _TABLE}
