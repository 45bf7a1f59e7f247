"""MAML with one inner step: its title, colour, settings and texts."""

from pipeline.config.card import MethodCard, MethodSettings, Style

CARD = MethodCard(
    name="maml1",
    title="MAML, 1 step",
    order=20,
    citation="Finn, Abbeel, Levine, ICML 2017, arXiv:1703.03400",
    text="""
- Inner training: one gradient-descent step.
- Meta-gradient: exact, by autograd through that step.
- Memory: one step's graph, whatever K is.
- Time: the cheapest of the exact ones.
- Mind: it optimises the first step only; what K steps do to θ is never seen.
""",
    style=Style("#56B4E9", "--", "s"),
    settings=MethodSettings,
    module="maml",
    function="maml",
    role="baseline",
    trains="steps",
    steps=1,
    unrolled=True,
)
