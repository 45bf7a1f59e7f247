"""What a registered champion is when MLflow loads it: rows in, predictions out.

MLflow copies this file and the modules it imports beside the weights, and runs it where the model
is loaded: `mlflow.pyfunc.load_model("models:/NAME@champion")`, `mlflow models serve`.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.use import answer_mixed


class Champion(PythonModel):
    """Trains on the support rows of a request's tasks, and predicts their query rows."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights."""
        self.start = Initialisation.read(Path(context.artifacts["initialisation"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predictions of the rows whose `part` is `query`; `params` may have `steps`.

        Raises:
            MlflowException: for bad input; a server answers 400 with its message.
        """
        try:
            return answer_mixed(self.start, model_input, steps=(params or {}).get("steps"))
        except BadInput as error:
            refused = MlflowException(str(error), INVALID_PARAMETER_VALUE)
            refused.json_kwargs["message"] = str(error)  # the server would put all rows before it
            raise refused from None


set_model(Champion())
