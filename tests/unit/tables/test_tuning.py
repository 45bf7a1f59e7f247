"""Choices on validation tasks: from hand-made curves and test errors that disagree with them."""

import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline.config.load import read_config
from pipeline.config.schema import check_params
from pipeline.config.titles import label_order, label_title
from pipeline.config.variants import told
from pipeline.errors import BadInput
from pipeline.jobs.recipes import profile_recipe, run_recipe
from pipeline.seals import read_sealed, write_sealed
from tests import varied_runs
from tests.sealed_frames import write_frame
from tests.table_files import build, read

RAW = read_config(Path(__file__).parents[3] / "params.yaml")
SETTING = "alpine-50shot-50val"
FAST, WIDE, LOWER = "reptile-outer_lr-0.01", "reptile-meta_batch-20", "amaml_anytime-omega-0.2"
METHODS = ["reptile", FAST, WIDE, "amaml_anytime", LOWER, "fomaml"]
# last validated nRMSE of seeds 0 and 1, and test nRMSE
ENDS = {
    "reptile": ((0.5, 0.7), 0.4),
    FAST: ((0.4, 0.6), 0.8),
    WIDE: ((0.1, None), 0.3),  # a seed failed
    "amaml_anytime": ((0.30, 0.30), 0.6),
    LOWER: ((0.30, 0.32), 0.5),
    "fomaml": ((0.2, 0.2), 0.1),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("choices")

    def errors(label, setting, seed, step):
        validation, test = ENDS[label]
        return None if validation[seed] is None else [test] * 7  # 14 pairs of seed and task

    of = {"methods": METHODS, "seeds": [0, 1]}
    varied_runs.write(root, errors, **of, settings={SETTING: 5})
    for label, (validation, _) in ENDS.items():
        for seed, last in enumerate(validation):
            folder = root / "runs" / label / SETTING / str(seed)
            spec = read_sealed(folder / "spec.json")
            rate = 0.01 if label == FAST else 0.001
            write_sealed(folder / "spec.json", spec | {"training": {"outer_lr": rate}})
            curve = pd.read_parquet(folder / "curve.parquet")
            # lower on the way: the last meta-update counts. Rows in another order: updates do
            curve["validation_nrmse"] = [0.01] * (len(curve) - 1) + [last or 0.0]
            write_frame(curve.iloc[::-1], folder / "curve.parquet")
    return build(root, **of, settings=[SETTING])


def test_validation_tasks_choose_and_test_tasks_do_not(tables):
    rows = {row["label"]: row for row in read(tables, "choices")}
    assert list(rows) == ["reptile", WIDE, FAST, "amaml_anytime", LOWER]  # FOMAML has no choice
    assert [label for label, row in rows.items() if row["chosen"] == "true"] == [
        *(FAST, "amaml_anytime"),
    ]
    assert float(rows[FAST]["validation_nrmse"]) == pytest.approx(0.5)
    assert float(rows[FAST]["validation_stderr"]) == pytest.approx(0.1)
    assert (rows[FAST]["outer_lr"], rows["reptile"]["outer_lr"]) == ("0.01", "0.001")
    assert (rows[WIDE]["n_seeds"], rows[WIDE]["n_failed"]) == ("1", "1")
    assert [float(rows[label]["nrmse"]) for label in (FAST, "reptile")] == [0.8, 0.4]


def test_labels_stand_beside_the_method_they_vary():
    labels = ["amaml_rkc", WIDE, "zeta", "imaml", "reptile", FAST]
    assert sorted(labels, key=label_order) == [
        *("reptile", WIDE, FAST, "imaml", "amaml_rkc", "zeta"),
    ]
    assert label_title(WIDE) == "Reptile, meta-batch 20"
    assert label_title(LOWER) == "A-MAML anytime, ω 0.2"
    with told({"rate": {"base": "reptile", "varied": {"outer_lr": 0.1}}}):
        assert label_title("rate") == "Reptile, outer rate 0.1"
        assert label_title(WIDE) == WIDE  # nothing is read out of a name


def test_a_methods_own_training_reaches_its_recipes_and_no_others():
    params = check_params(RAW | {"grid": "choices"})
    training = {m: run_recipe(params, m, SETTING, 0)["training"] for m in params.active.methods}
    common = training["reptile"]
    assert training[FAST] == common | {"outer_lr": 0.01}
    assert training[WIDE] == common | {"meta_batch": 20}
    assert training[LOWER] == training["amaml_rkc"] == common
    batches = {m: profile_recipe(params, m)["meta_batch"] for m in ("reptile", WIDE)}
    assert batches == {"reptile": common["meta_batch"], WIDE: 20}
    assert "training" not in run_recipe(params, FAST, SETTING, 0)["settings"]


def test_a_meta_batch_of_its_own_must_fit_the_synthetic_tasks():
    grid = RAW["grids"]["choices"] | {"vary": {"reptile": {"meta_batch": [91]}}}
    grids = RAW["grids"] | {"choices": grid}
    fault = re.escape("grids/choices.yaml: reptile-meta_batch-91: found a meta-batch of 91 tasks")
    with pytest.raises(BadInput, match=fault):
        check_params(RAW | {"grids": grids, "grid": "choices"})
    # another grid's business: a trial with fewer tasks goes on
    check_params(RAW | {"grids": grids})
