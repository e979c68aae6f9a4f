import errno

import pytest
import torch
from safetensors.torch import load_file

from mixlab.training.models.in_turn import InTurn, take_in_turn, to_the_end, write_in_turn


def test_what_is_written_in_turn_is_read_as_it_was(tmp_path):
    tensors = {
        "b": torch.arange(6.0).reshape(2, 3),
        "a": torch.tensor(2.0),
        "turned": torch.arange(6.0).reshape(2, 3).T,
    }
    write_in_turn(take_in_turn(tensors), tmp_path / "x.safetensors")
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_after_an_error_the_rest_is_taken_all_the_same_for_other_ranks_wait(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    taken = []

    def give():
        for name in ("a", "b", "c"):
            taken.append(name)
            yield name, torch.zeros(2)

    given = InTurn(dict.fromkeys(("a", "b", "c"), (2,)), give())
    with pytest.raises(OSError, match="full") as told, to_the_end(given):
        write_in_turn(given, tmp_path / "full")
    assert told.value.errno == errno.ENOSPC
    assert taken == ["a", "b", "c"]
