"""Records -> tables; beside `tracking`, above `jobs`, below `paper`."""
