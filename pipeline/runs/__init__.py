"""Train, test, profile; the record of each; evidence; above `config`, below `jobs`."""
