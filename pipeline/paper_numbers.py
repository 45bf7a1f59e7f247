"""nRMSE as printed in the paper's Tables 1 and 2, to stand beside ours: never a target.

Source: Li, Wang, Narayan, Kirby, Zhe, Meta-Learning with Adjoint Methods, AISTATS 2023,
arXiv:2110.08432. The paper does not define its nRMSE, so that its values need not be on our
scale (pipeline/metrics.py). The mapping is empty: nobody has checked a value against the
printed tables yet, and none is copied from memory. An entry goes here only when read from the
paper itself; the column `paper_nrmse` and the tables pick it up.
"""

PAPER_NRMSE: dict[tuple[str, str], float] = {}
"""(setting, label) as in params.yaml -> nRMSE printed in the paper."""
