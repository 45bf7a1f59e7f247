"""What a grid has found, in a few lines."""

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.report.summary import summary

MAIN = """\
setting,kind,label,status,nrmse,nrmse_stderr,gain_over_best_trivial,best
cos,method,maml,ok,0.16,0.004,83.5,false
cos,method,amaml_rkc,ok,0.1471,0.0042,84.9,true
cos,trivial,global_mean,ok,0.97,0.01,,false
alp,method,maml,ok,1.02,,-2.04,true
alp,method,amaml_rkc,failed,,,,false
gone,method,maml,failed,,,,false
"""
CLAIMS = """\
claim,setting,outcome,why
a,all,not judged,smoke run
a,cos,not judged,smoke run
b,all,holds,
b,cos,not judged,smoke run
c,all,not judged,not measured
"""


def test_a_grid_with_more_than_trivial_predictors_says_so(tmp_path: Path) -> None:
    folder = grid(tmp_path)
    main = folder / "tables/main.csv"
    assert "over best trivial" in summary(folder)
    main.write_text(MAIN + "cos,trivial,gaussian_process,ok,0.2,0.01,,false\n")
    assert "over best predictor" in summary(folder)


def grid(root: Path, *, page: bool = True) -> Path:
    folder = root / "results/ci"
    (folder / "tables").mkdir(parents=True)
    (folder / "tables/main.csv").write_text(MAIN)
    (folder / "tables/claims.csv").write_text(CLAIMS)
    if page:
        (folder / "report.html").touch()
        (folder / "tracking.json").touch()
    return folder


def test_best_of_each_setting_and_what_was_not_judged(tmp_path: Path) -> None:
    folder = grid(tmp_path)
    text = summary(folder)
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "cos A-MAML RKC (amaml_rkc) 0.1471 ± 0.0042 +84.9 %" in rows
    assert "alp MAML, unrolled (maml) 1.02 -2.0 %" in rows
    assert "gone none: no method finished in every seed" in rows
    assert "Failed in some seed: amaml_rkc on alp, maml on gone." in rows
    assert "Not judged: 2 of 3 claims (1 smoke run, 1 not measured)." in rows
    assert rows[-3:] == [
        f"Page: {folder}/report.html",
        "Runs in a browser: mlflow ui",
        "The best initialisations, to use: python -m pipeline promote ci",
    ]
    (folder / "champions").mkdir()
    assert summary(folder) == text[: text.index("The best init")]


def test_what_is_not_there_is_not_named(tmp_path: Path) -> None:
    text = summary(grid(tmp_path, page=False))
    assert "Page" not in text
    assert "mlflow" not in text


def test_without_tables(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="found no table; needed those of a finished grid"):
        summary(tmp_path / "results/ci")


def test_classes_have_log_loss_and_own_data_no_claims(tmp_path: Path) -> None:
    folder = grid(tmp_path)
    main = folder / "tables/main.csv"
    main.write_text(MAIN.replace("nrmse", "log_loss"))
    (folder / "tables/claims.csv").unlink()
    text = summary(folder)
    assert "log loss" in text
    assert "0.1471 ± 0.0042" in text
    assert "nRMSE" not in text
    assert "claims" not in text
