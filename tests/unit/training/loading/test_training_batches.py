from fractions import Fraction

import numpy as np
import pytest
from training_fakes import VOCAB, FakeWindow, FakeWindows

from mixlab.config.problems import DataError
from mixlab.training.loading.batches import Stream, load_batch


def seen(stream):
    return [index for step in range(1, stream.steps + 1) for index in stream.batch(step)]


def window(*documents, answers):
    lengths = [len(document) for document in documents]
    tokens = np.array([token for document in documents for token in document], np.uint16)
    return FakeWindow(tokens, lengths, np.array(answers, np.bool_))


class Given:
    sequence_tokens = 8

    def __init__(self, *windows):
        self.windows = windows

    def __len__(self):
        return len(self.windows)

    def window(self, index):
        return self.windows[index]


def test_the_mixtures_order_is_followed_and_the_last_step_may_be_short():
    stream = Stream(5, 2, Fraction(3, 2), "mixture", seed=0)
    assert [stream.batch(step) for step in range(1, stream.steps + 1)] == [[0, 1], [2, 3], [4, 0], [1, 2]]


def test_every_pass_of_a_shuffled_stream_sees_each_window_once_in_another_order():
    order = seen(Stream(50, 4, Fraction(3), "shuffled", seed=1))
    passes = [order[first : first + 50] for first in (0, 50, 100)]
    assert all(sorted(one) == list(range(50)) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    assert seen(Stream(50, 4, Fraction(3), "shuffled", seed=2)) != order


def test_the_order_does_not_depend_on_the_step_at_which_one_begins_to_look():
    fresh = Stream(50, 7, Fraction(4), "shuffled", seed=1)
    whole = Stream(50, 7, Fraction(4), "shuffled", seed=1)
    assert [whole.batch(step) for step in range(1, 21)][19] == fresh.batch(20)


def test_a_shuffled_order_is_the_same_on_every_machine_and_in_every_numpy():
    assert Stream(8, 8, Fraction(1), "shuffled", seed=1).batch(1) == [3, 5, 2, 7, 0, 6, 1, 4]


def test_targets_stay_within_their_document_and_padding_has_none():
    given = Given(window([10, 11, 12], [20, 21], answers=[0, 1, 1, 1, 1]), window([30], [40, 41], answers=[1, 0, 1]))
    batch = load_batch(given, [0, 1], 2, "all", VOCAB)
    micro = batch.micro[0]
    pairs = [
        (int(micro.tokens_BT.flatten()[row]), int(target))
        for row, target in zip(micro.rows_N, micro.targets_N, strict=True)
    ]
    assert pairs == [(10, 11), (11, 12), (20, 21), (40, 41)]
    assert micro.positions_BT.tolist() == [[0, 1, 2, 0, 1], [0, 0, 1, 0, 0]]
    assert (batch.tokens, batch.targets) == (8, 4)


def test_response_loss_learns_answers_only_and_never_the_first_token_of_a_document():
    given = Given(window([10, 11, 12], [20, 21], answers=[0, 0, 1, 1, 1]))
    micro = load_batch(given, [0], 1, "response", VOCAB).micro[0]
    assert micro.targets_N.tolist() == [12, 21]


def test_with_attention_across_documents_a_window_is_read_as_one():
    given = Given(window([10, 11, 12], [20, 21], answers=[0, 0, 1, 1, 1]), window([30, 31], answers=[0, 1]))
    micro = load_batch(given, [0, 1], 2, "all", VOCAB, "across").micro[0]
    assert micro.targets_N.tolist() == [11, 12, 20, 21, 31]
    assert micro.positions_BT.tolist() == [[0, 1, 2, 3, 4], [0, 1, 0, 0, 0]]
    assert micro.documents_BT.tolist() == [[0] * 5, [0, 0, -1, -1, -1]]
    assert load_batch(given, [0, 1], 2, "response", VOCAB, "across").micro[0].targets_N.tolist() == [12, 20, 21, 31]


def test_micro_batches_hold_the_same_targets_and_are_padded_to_their_own_longest_window():
    windows = FakeWindows(count=6)
    whole = load_batch(windows, range(6), 6, "all", VOCAB)
    parts = load_batch(windows, range(6), 4, "all", VOCAB)
    assert [len(micro.tokens_BT) for micro in parts.micro] == [4, 2]
    assert parts.targets == whole.targets
    longest = max(len(windows.window(index).tokens_T) for index in (4, 5))
    assert parts.micro[1].tokens_BT.shape == (2, longest)
    targets = [target for micro in parts.micro for target in micro.targets_N.tolist()]
    assert targets == whole.micro[0].targets_N.tolist()


def test_a_token_the_model_has_no_row_for_is_named_with_its_window():
    given = Given(window([1, 2], answers=[0, 1]), window([3, 90], answers=[0, 1]))
    with pytest.raises(DataError, match="window 1 has token id 90"):
        load_batch(given, [0, 1], 2, "all", VOCAB)
