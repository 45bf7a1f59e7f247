"""MAML, unrolled: its title, colour, settings and texts."""

from pydantic import Field

from pipeline.config.card import Count, MethodCard, MethodSettings, Style


class Settings(MethodSettings):
    steps_divisor: Count = Field(description="K / steps_divisor steps are unrolled")


CARD = MethodCard(
    name="maml",
    title="MAML, unrolled",
    order=10,
    citation="Finn, Abbeel, Levine, ICML 2017, arXiv:1703.03400",
    text="""
- Inner training: K/10 gradient-descent steps on the support loss.
- Meta-gradient: exact, by autograd through the unrolled steps.
- Memory: the graph of every step is kept, so it grows with K; this is why the steps are capped.
- Time: one forward and one backward pass of each step.
- Mind: at test time it is trained for all K steps, ten times as many as it was meta-trained for.
""",
    style=Style("#0072B2", "-", "o"),
    settings=Settings,
    module="maml",
    function="maml",
    role="baseline",
    trains="steps",
    unrolled=True,
    compared="at the horizon",
)
