"""The noise of a finished study, from its table of variance components."""

import pytest

from mixlab.analysis.cell_intervals import VARIANCE, VARIANCE_HEADER
from mixlab.analysis.noise import measure_noise

ROWS = """\
v,after_sft,gsm8k,accuracy,item,0.4,0.16,10,
v,after_sft,gsm8k,accuracy,ipt_seed,0.03,0.0009,4,
v,after_sft,gsm8k,accuracy,ipt_seed x item,0.1,0.01,40,
v,after_sft,gsm8k,accuracy,sft_seed,0.01,0.0001,8,
v,after_sft,gsm8k,accuracy,residual,0.2,0.04,80,
v,after_sft,mgsm_ja,accuracy,ipt_seed,0.05,0.0025,4,
v,after_sft,mgsm_ja,accuracy,residual,0.2,0.04,80,
v,after_sft,talk,judge_score,mixture_seed,0.5,0.25,4,
v,after_sft,broken,judge_score,,,,0,not estimable
v,before_sft,gsm8k,accuracy,ipt_seed,0.9,0.81,4,
"""


def test_deviations_are_averaged_over_cells_as_variances(tmp_path):
    (tmp_path / VARIANCE).write_text(",".join(VARIANCE_HEADER) + "\n" + ROWS)
    found = measure_noise(tmp_path, "after_sft")
    assert found["accuracy"] == pytest.approx(
        {"ipt_seed": (0.0017) ** 0.5, "answer": (0.045) ** 0.5, "sft_seed": (0.00005) ** 0.5}
    )
    assert found["judge_score"] == pytest.approx({"ipt_seed": 0.5})
