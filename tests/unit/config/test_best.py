"""Grid `best`: the outer loops are those that validation tasks chose in grid `loops`."""

import pandas as pd
import pytest

from pipeline.config.schema import Params, load_params, on_grid
from tests.documents import ROOT

SHIPPED = load_params(ROOT / "params.yaml")
BEST, LOOPS = on_grid(SHIPPED, "best"), on_grid(SHIPPED, "loops")
CHOSEN = pd.read_csv(ROOT / "results/loops/tables/choices.csv").query("chosen")
LOOP = ("aggregate", "outer_lr", "meta_batch")
# whose outer loop a method takes that has none of its own in `loops`: its gradient is the same
TAKES = {"maml_sweep": "amaml_rkc"}


def loop(params: Params, label: str, setting: str) -> dict[str, object]:
    training = params.method_training(label, setting)
    return {name: training[name] for name in LOOP}


@pytest.mark.parametrize("setting", BEST.active.settings)
@pytest.mark.parametrize("label", BEST.active.methods)
def test_the_outer_loop_is_the_one_that_was_chosen(label, setting):
    method = BEST.methods[label].method
    of = CHOSEN[
        (CHOSEN.dataset == BEST.settings[setting].dataset)
        & (CHOSEN.base == TAKES.get(method, method))
    ]
    (chosen,) = of.itertuples()
    assert loop(BEST, label, setting) == loop(LOOPS, chosen.label, chosen.setting)


def test_every_method_trains_as_long():
    for setting in BEST.active.settings:
        updates = {
            BEST.method_training(label, setting)["meta_updates"] for label in BEST.active.methods
        }
        assert len(updates) == 1
