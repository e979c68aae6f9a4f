"""How many parameters a model from scratch has, by formula."""

from dataclasses import dataclass

from mixlab.config.models import ModelSettings


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of the embeddings (a head of its own included) and of everything else."""

    embedding: int
    other: int

    @property
    def total(self) -> int:
        """All of them; a tied head counts once."""
        return self.embedding + self.other


def count_rows(vocab_size: int, multiple: int) -> int:
    """Rows of the embeddings for so many tokens: up to the next multiple."""
    return -(-vocab_size // multiple) * multiple


def find_head_size(settings: ModelSettings) -> int:
    """Width of one attention head."""
    return settings.head_size or settings.hidden_size // settings.heads


def count_parameters(settings: ModelSettings, vocab_size: int) -> ParameterCount:
    """Count the parameters of a model whose tokenizer has `vocab_size` entries."""
    hidden, head = settings.hidden_size, find_head_size(settings)
    query, key_value = settings.heads * head, (settings.kv_heads or settings.heads) * head
    attention = 2 * hidden * query + 2 * hidden * key_value
    biases = query + 2 * key_value if settings.architecture == "qwen2" else 0
    norms = 2 * hidden
    layer = attention + biases + 3 * hidden * settings.feed_forward + norms
    rows = count_rows(vocab_size, settings.vocabulary_multiple)
    matrices = 1 if settings.tie_embeddings else 2
    return ParameterCount(embedding=matrices * rows * hidden, other=settings.layers * layer + hidden)
