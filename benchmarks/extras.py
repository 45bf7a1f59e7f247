"""Two comparisons of our own code: item indices against one-hot rows, seeds in one job."""

from typing import Any

import torch

from benchmarks.candidates import OUTER_LR
from benchmarks.measure import interleaved, repetitions_for, summary, timed
from benchmarks.problem import ALPHA, TASKS
from pipeline.core import METHODS, MLP, MetaTrainer, TaskBatch

ITEMS, HIDDEN = 100, (40, 40)
SUPPORT, QUERY = 10, 15
INNER_STEPS = 200


def index_against_dense(
    device: torch.device, *, inner_steps: int = INNER_STEPS, share: float = 2.0
) -> dict[str, Any]:
    """Seconds of a meta-update on the same ratings, inputs as item indices and as one-hot rows."""
    generator = torch.Generator().manual_seed(0)
    rows = SUPPORT + QUERY
    items = torch.rand(TASKS, ITEMS, generator=generator).argsort(1)[:, :rows]
    taste = torch.randn(ITEMS, generator=generator)
    rating = taste[items] + torch.randn(TASKS, rows, generator=generator)
    items, rating = items.to(device), rating.to(device)
    one_hot = torch.nn.functional.one_hot(items, ITEMS).to(rating.dtype)
    batches = {
        name: TaskBatch.from_arrays(
            x[:, :SUPPORT], rating[:, :SUPPORT], x[:, SUPPORT:], rating[:, SUPPORT:]
        )
        for name, x in (("index", items), ("dense", one_hot))
    }
    model = MLP(ITEMS, HIDDEN)
    theta = model.init(torch.Generator().manual_seed(0), device=device)
    method = "amaml_rkc" if "amaml_rkc" in METHODS else "amaml"
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
    return found | {"method": method, "inner_steps": inner_steps, "ratio": ratio, "message": None}


def three_seeds() -> dict[str, Any]:
    """Seconds of three seeds trained in one job against one seed alone."""
    return {"ratio": None, "message": "pipeline.core trains one seed at a time"}
