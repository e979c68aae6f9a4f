"""One frozen spec per stage: everything that decides the result and nothing else; the whole of it is hashed.

`version` is raised by hand when the code of the stage changes its result.
"""

from mixlab.config.analysis import AggregateSettings, ModelScoresSettings, ReportSettings
from mixlab.config.averaging import AveragingSettings
from mixlab.config.base import Settings, added
from mixlab.config.base_models import BaseModelSettings
from mixlab.config.counts import CountsSettings
from mixlab.config.engines import EngineSettings
from mixlab.config.filters import ContaminationSettings, FilterSettings
from mixlab.config.generation import PromptSettings
from mixlab.config.held_out import ValidationSettings
from mixlab.config.judging import JudgeSettings
from mixlab.config.labelling import LabelSettings
from mixlab.config.lm_eval_task import TaskRequests
from mixlab.config.mixtures import MixtureSettings
from mixlab.config.models import ModelSettings
from mixlab.config.pairwise import PairJudgeSettings
from mixlab.config.scorers import ScorerSettings
from mixlab.config.sources import SourceSettings
from mixlab.config.targets import TargetSettings
from mixlab.config.tokenizers import PackSettings, TokenizerChosen, TokenizeSettings, TokenizeShardSettings
from mixlab.config.training import TrainSettings


class Spec(Settings):
    """What a stage is asked to do."""

    version: int = 1


class SourceSpec(Spec):
    """The records of a source: generated, or read from files known by their digests."""

    version: int = 2

    source: SourceSettings


class ContaminationSpec(Spec):
    """Which records of a source hold parts of benchmark items."""

    version: int = 2
    contamination: ContaminationSettings


class LabelSpec(Spec):
    """The category of each record, as a language model or a set of rules sees it."""

    label: LabelSettings


class FilterSpec(Spec):
    """Which records of a source stay."""

    version: int = 2
    filter: FilterSettings


class TokenizerSpec(Spec):
    """A tokenizer trained on its own list of sources."""

    tokenizer: TokenizerChosen


class TokenizeShardSpec(Spec):
    """One stretch of the token store of a large source."""

    tokenize: TokenizeShardSettings


class TokenizeSpec(Spec):
    """The token store of one source and one tokenizer."""

    tokenize: TokenizeSettings


class PackSpec(Spec):
    """The windows of one token store for one length and layout."""

    version: int = 3

    pack: PackSettings


class MixtureSpec(Spec):
    """A plan of windows over packed sources: exact shares, a budget, a seeded order."""

    version: int = 2

    mixture: MixtureSettings


class CountsSpec(Spec):
    """How many samples and tokens each token store holds, with the names people use."""

    counts: CountsSettings


class BaseModelSpec(Spec):
    """A base model that somebody else trained, checked and fitted to its tokenizer."""

    base_model: BaseModelSettings


class PretrainSpec(Spec):
    """A base model trained from scratch."""

    model: ModelSettings
    training: TrainSettings
    pretrain_seed: int
    validation: ValidationSettings | None = added(None)


class IptSpec(Spec):
    """Instruction pre-training of a base model on a mixture."""

    training: TrainSettings
    ipt_seed: int
    validation: ValidationSettings | None = added(None)


class AverageSpec(Spec):
    """One model from the last snapshots of a run; which ones is said by its parents."""

    averaging: AveragingSettings


class SftSpec(Spec):
    """Supervised fine-tuning of a model on dialogues."""

    training: TrainSettings
    sft_seed: int
    validation: ValidationSettings | None = added(None)


class GenerateSpec(Spec):
    """A model's responses to one benchmark."""

    benchmark_version: int
    engine: EngineSettings
    prompt: PromptSettings
    generation_seed: int
    lm_eval: TaskRequests | None = added(None)


class ScoreSpec(Spec):
    """Scores of responses that are right or wrong."""

    version: int = 2
    scoring: ScorerSettings


class JudgeSpec(Spec):
    """A judge's ratings of responses."""

    version: int = 2
    judge: JudgeSettings
    judge_run: int


class JudgePairsSpec(Spec):
    """A judge's verdicts on which of two models answered better."""

    judge: PairJudgeSettings
    judge_run: int


class ScoresSpec(Spec):
    """All scores of one model as tidy rows."""

    scores: ModelScoresSettings


class AggregateSpec(Spec):
    """All scores of a study, their means and the differences it claims; no label is in it."""

    version: int = 6
    aggregate: AggregateSettings


class ReportSpec(Spec):
    """Tables, figures and a page, with the names people use."""

    version: int = 8
    report: ReportSettings
    targets: tuple[TargetSettings, ...] = added(())
