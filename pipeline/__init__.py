"""A-MAML and its baselines: from raw rating archives to nRMSE tables (arXiv:2110.08432)."""

__version__ = "0.1.0"
