"""Reptile: its title, colour, settings and texts."""

from pipeline.config.card import MethodCard, MethodSettings, Style

CARD = MethodCard(
    name="reptile",
    title="Reptile",
    order=50,
    citation="Nichol, Achiam, Schulman 2018, arXiv:1803.02999",
    text="""
- Inner training: K gradient-descent steps.
- Meta-gradient: θ − u_K, the way back from where the training ended (Nichol et al., 2018).
- Memory: one state.
- Time: K gradients; the query rows are not used.
- Mind: not the gradient of the query loss.
""",
    style=Style("#009E73", "--", "D"),
    settings=MethodSettings,
    module="first_order",
    function="reptile",
    role="baseline",
    trains="steps",
    first_order=True,
    proposed=True,
)
