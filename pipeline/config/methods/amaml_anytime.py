"""A-MAML with Chebyshev steps on the anytime objective: its title, colour, settings and texts."""

from pipeline.config.card import MethodCard, Style
from pipeline.config.methods.amaml_rkc import Settings

CARD = MethodCard(
    name="amaml_anytime",
    title="A-MAML anytime",
    order=80,
    citation="ours",
    text="""
- Inner training: as `amaml_rkc`.
- Meta-gradient: of ω/T ∫ L_Q(u(t)) dt + (1 − ω) L_Q(u(T)), ω = 0.5: errors count all the way.
- Memory: as `amaml_rkc`.
- Time: as `amaml_rkc`, and a query gradient at each step.
- Mind: ours; ω = 0 is the objective of A-MAML.
""",
    style=Style("#000000", "-", "*", 2.0),
    settings=Settings,
    module="amaml_rkc",
    function="amaml_anytime",
    role="ours",
    trains="flow",
)
