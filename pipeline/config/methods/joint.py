"""Joint training: its title, colour, settings and texts."""

from pipeline.config.card import MethodCard, MethodSettings, Style

CARD = MethodCard(
    name="joint",
    title="Joint training",
    order=65,
    citation="no meta-learning: one network is fitted to the rows of all tasks",
    text="""
- Inner training: none; a new task is trained for K steps, as with every method.
- Meta-gradient: ½ (∇L_S + ∇L_Q) at θ, the gradient of the error of one network on all tasks.
- Memory: one state.
- Time: two gradients, whatever K is.
- Mind: it knows nothing of the training that follows.
""",
    style=Style("#AA4499", ":", "h"),
    settings=MethodSettings,
    module="joint",
    function="joint",
    role="baseline",
    trains="nothing",
    meta_learns=False,
    first_order=True,
    proposed=True,
)
