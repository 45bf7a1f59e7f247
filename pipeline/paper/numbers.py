"""What the paper itself says in numbers: never a target.

Source: Li, Wang, Narayan, Kirby, Zhe, Meta-Learning with Adjoint Methods, AISTATS 2023,
arXiv:2110.08432. The paper does not define its nRMSE, so that its values need not be on our
scale (pipeline/runs/metrics.py). None of its tables stands beside ours: nobody has checked a
value against the printed page, and none is copied from memory.
"""

PAPER_EXAMPLE = 0.053
"""The order of magnitude of the nRMSE that the paper prints for rating data.

One figure, known from a reading of the paper without its cell; for the text of the metric
audit (pipeline/paper/audit.py) alone, and compared with no method of ours.
"""

PAPER_TASKS = {"ml-100k": 489, "ml-latest-small-2016": 489, "ml-1m": 4985}
"""Tasks the paper counts: 489 of "MovieLens-100K" (which release it does not say), 4,985 of
MovieLens-1M, users with at least 20 ratings of the 100 most-rated items, as it says."""
