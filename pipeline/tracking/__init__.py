"""Records -> MLflow; beside `tables`, above `jobs`, below `paper`."""
