"""Train, test, profile, study: what one job does, the record it leaves, and evidence for git."""
