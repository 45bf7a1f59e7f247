"""A comparison of our own code: inputs as item indices against one-hot rows."""

from typing import Any

import torch

from benchmarks.candidates import OUTER_LR
from benchmarks.measure import interleaved, repetitions_for, summary, timed
from benchmarks.problem import ALPHA, ITEMS, RATING_HIDDEN, RATING_SUPPORT, TASKS, ratings, split
from pipeline.core import MLP, MetaTrainer

INNER_STEPS = 200
MANY_TASKS = 50  # at which the products outweigh the calls
SHARE_S = 2.0  # wanted seconds of timing of both together


def index_against_dense(
    device: torch.device,
    *,
    n_tasks: int = TASKS,
    inner_steps: int = INNER_STEPS,
    share: float = SHARE_S,
) -> dict[str, Any]:
    """Seconds of a meta-update on the same ratings, inputs as item indices and as one-hot rows."""
    items, y = ratings(n_tasks)
    one_hot = torch.nn.functional.one_hot(items, ITEMS).to(y.dtype)
    batches = {
        name: split(x, y, RATING_SUPPORT, device)
        for name, x in (("index", items), ("dense", one_hot))
    }
    model = MLP(ITEMS, RATING_HIDDEN)
    theta = model.init(torch.Generator().manual_seed(0), device=device)
    method = "amaml_rkc"
    settings = {"horizon": inner_steps * ALPHA, "rtol": 1e-3}
    runs = {}
    for name, batch in batches.items():
        trainer = MetaTrainer(method, model, theta, settings=settings, outer_lr=OUTER_LR)
        runs[name] = lambda trainer=trainer, batch=batch: trainer.step(batch)
        runs[name]()
    count = repetitions_for(timed(runs["dense"], device), share=share / len(runs))
    seconds = interleaved(runs, dict.fromkeys(runs, count), device, "item indices")
    found: dict[str, Any] = {name: summary(values) for name, values in seconds.items()}
    ratio = found["dense"]["median"] / found["index"]["median"]
    about = {"method": method, "tasks": n_tasks, "inner_steps": inner_steps}
    return found | about | {"ratio": ratio, "message": None}
