"""Aggregation at each meta-batch: table and figure, from runs whose errors are laid down."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.config.load import read_config
from pipeline.config.schema import check_params
from pipeline.config.tables import tables_of
from pipeline.figures.aggregation import draw_aggregation
from pipeline.seals import read_sealed, write_sealed
from tests import varied_runs
from tests.table_files import build, read

SETTINGS = {"alpine-50shot-50val": 5, "cosmixture-50shot-50val": 5}
WIDE = "reptile-meta_batch-20"
ERRORS = {  # of 20 tasks
    ("mean", 5): 0.5,
    ("mean", 20): 0.4,
    ("unit", 5): 0.3,
    ("unit", 20): 0.4,
    ("clip", 20): 0.6,
}
LABELS = {
    "reptile": ("mean", 5),
    WIDE: ("mean", 20),
    "reptile-aggregate-unit-meta_batch-5": ("unit", 5),
    "reptile-aggregate-unit-meta_batch-20": ("unit", 20),
    "reptile-aggregate-clip-meta_batch-20": ("clip", 20),
    "reptile-outer_lr-0.01": ("unit", 20),  # of another question
    "fomaml": ("mean", 5),  # nothing is varied of it
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("aggregation")

    def errors(label, setting, seed, step):
        hard = 1 + 0.1 * seed
        return [hard * ERRORS[LABELS[label]] * (1 + 0.01 * task) for task in range(20)]

    of = {"methods": list(LABELS), "seeds": [0, 1]}
    varied_runs.write(root, errors, **of, settings=SETTINGS)
    for label, (rule, size) in LABELS.items():
        for file in (root / "runs" / label).rglob("spec.json"):
            training = {"meta_batch": size, "outer_lr": 0.001}
            training |= {} if rule == "mean" else {"aggregate": rule}
            write_sealed(file, read_sealed(file) | {"training": training})
    return build(root, **of, settings=list(SETTINGS))


def test_rules_are_compared_with_the_mean_at_the_same_meta_batch(folder):
    rows = {(row["setting"], row["label"]): row for row in read(folder, "aggregation")}
    assert len(rows) == 2 * 5, "variants of another value, and methods without any, have no row"
    for setting in SETTINGS:
        own = {label: row for (of, label), row in rows.items() if of == setting}
        assert {
            label: (row["aggregate"], int(row["meta_batch"])) for label, row in own.items()
        } == {label: LABELS[label] for label in own}
        assert own["reptile"]["difference"] == own[WIDE]["p"] == "", "it is what others are to beat"
        better = own["reptile-aggregate-unit-meta_batch-5"]
        # means over 20 tasks and two seeds of (0.3 - 0.5) (1 + 0.01 task) (1 + 0.1 seed)
        assert float(better["difference"]) == pytest.approx(-0.2 * 1.095 * 1.05, rel=1e-4)
        assert float(better["rank_biserial"]) == -1
        same = own["reptile-aggregate-unit-meta_batch-20"]
        assert (float(same["difference"]), float(same["p_holm"])) == (0, 1)
        worse = own["reptile-aggregate-clip-meta_batch-20"]
        assert float(worse["difference"]) > 0
        # three are tested in each setting
        assert float(worse["p_holm"]) == pytest.approx(3 * float(worse["p"]), rel=1e-4)


def test_a_figure_has_a_panel_for_each_setting_and_method(folder):
    table = pd.read_csv(folder / "aggregation.csv")
    figure = draw_aggregation(table)
    assert len(figure.axes) == 2, "of two settings and one method"
    drawn = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    of = {
        (round(float(y), 3), line.get_marker(), line.get_markerfacecolor())
        for line in drawn
        for y in line.get_ydata()
    }
    level = {rule: round(error * 1.095 * 1.05, 3) for rule, error in ERRORS.items()}
    assert of == {
        (level["mean", 5], "o", "#000000"),
        (level["mean", 20], "o", "#000000"),
        (level["unit", 5], "s", "#D55E00"),
        (level["unit", 20], "s", "white"),  # the same as the mean
        (level["clip", 20], "^", "#0072B2"),
    }


def test_grids_have_it_where_a_method_varies_its_rule():
    raw = read_config(Path(__file__).parents[3] / "params.yaml")
    assert "aggregation" in tables_of(check_params(raw | {"grid": "aggregation"}))
    assert "aggregation" not in tables_of(check_params(raw | {"grid": "choices"}))
