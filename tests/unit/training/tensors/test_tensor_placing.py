import errno

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mixlab.training.tensors.files import TensorForm
from mixlab.training.tensors.placing import PlacedFile

VALUES = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.weight/step": np.float32(3).reshape(()),
    "a.weight": np.arange(5, dtype=np.float32),
    "none": np.zeros((0, 4), np.float32),
}
FORMS = {name: TensorForm("F32", values.shape) for name, values in VALUES.items()}


@pytest.mark.parametrize("order", [sorted(VALUES), sorted(VALUES, reverse=True)])
def test_tensors_put_in_any_order_make_the_bytes_of_the_librarys_own_writer(tmp_path, order):
    with PlacedFile(tmp_path / "ours", FORMS) as file:
        for name in order:
            file.put(name, VALUES[name])
    theirs = {name: torch.from_numpy(np.array(values)) for name, values in VALUES.items()}
    save_file(theirs, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_tensor_that_never_came_and_one_of_another_form_are_errors(tmp_path):
    with (
        pytest.raises(ValueError, match=r"nothing was given for a\.weight, none"),
        PlacedFile(tmp_path / "x", FORMS) as file,
    ):
        file.put("b.weight", VALUES["b.weight"])
        file.put("a.weight/step", VALUES["a.weight/step"])
    with pytest.raises(ValueError, match=r"a\.weight: float64 .* is stored"), PlacedFile(tmp_path / "y", FORMS) as file:
        file.put("a.weight", VALUES["a.weight"].astype(np.float64))


def test_a_full_disk_is_told_with_the_files_name(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="full") as told:
        PlacedFile(tmp_path / "full", FORMS)
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(tmp_path / "full"))
