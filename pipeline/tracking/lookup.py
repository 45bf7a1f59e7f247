"""The MLflow runs under which run records were logged. Reads only: no store is made here."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.tracking.store import probe, refusal, set_environment


def logged_ids(database: Path, grid: str, names: Iterable[str]) -> dict[str, str]:
    """Ids of the MLflow runs of a grid, by their name.

    Args:
        database: `mlflow.db`; when there is none, nothing was logged.
        grid: name of the experiment.
        names: `label/setting/seed` of the runs that are looked for.

    Returns:
        The id of each run that is logged; others are left out.

    Raises:
        BadInput: when the file is no MLflow store of this version.
    """
    if not database.is_file():
        return {}
    uri = f"sqlite:///{database.resolve().as_posix()}"
    probe(uri, database)
    set_environment()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    wanted = set(names)
    found: dict[str, str] = {}
    try:
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(grid)
        token = None
        while experiment:
            page = client.search_runs([experiment.experiment_id], page_token=token)
            for run in page:
                # people may log runs of the same name here; theirs carry no digest of a record
                if run.info.run_name in wanted and "content_digest" in run.data.tags:
                    found[str(run.info.run_name)] = run.info.run_id
            token = page.token
            if not token:
                break
    except MlflowException as error:
        raise refusal(uri, database, str(error)) from error
    return found
