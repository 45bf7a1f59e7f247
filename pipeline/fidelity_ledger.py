"""What the fidelity ledger of training says: rows of `training.csv` that have entries."""

import pandas as pd

MEASURES = ("cosine", "relative_error")


def ledger_entries(training: pd.DataFrame) -> pd.DataFrame:
    """Rows of `training.csv` with an entry in the ledger, in their order."""
    return training[training[list(MEASURES)].notna().any(axis=1)]


def fidelity_points(training: pd.DataFrame, main: pd.DataFrame) -> pd.DataFrame:
    """One row per setting and method: its fidelity late in training, and its test error.

    Fidelity is that of the last update at which every method of the setting has an entry. Those
    without a finite test error are left out.

    Args:
        training, main: the tables `training.csv` and `main.csv`.

    Returns:
        Columns setting, dataset, label, update, cosine, relative_error, nrmse, and ratio: nRMSE
        over the lowest of the setting's methods.
    """
    entries = ledger_entries(training)
    methods = main[(main["kind"] == "method") & main["nrmse"].notna()]
    frames = []
    for setting, rows in methods.groupby("setting", sort=False):
        own = entries[(entries["setting"] == setting) & entries["label"].isin(rows["label"])]
        updates = [set(line["update"]) for _, line in own.groupby("label")]
        common = set.intersection(*updates) if updates else set()
        if not common:
            continue
        last = own.loc[own["update"] == max(common), ["label", "update", *MEASURES]]
        points = rows[["setting", "dataset", "label", "nrmse"]].merge(last, on="label")
        frames.append(points.assign(ratio=points["nrmse"] / points["nrmse"].min()))
    columns = ["setting", "dataset", "label", "update", *MEASURES, "nrmse", "ratio"]
    return pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)
