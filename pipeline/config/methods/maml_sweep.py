"""MAML's gradient at all K steps, by a reverse sweep: its title, colour, settings and texts."""

from pipeline.config.card import Memory, MethodCard, MethodSettings, Style


class Settings(MethodSettings):
    memory_mb: Memory = None


CARD = MethodCard(
    name="maml_sweep",
    title="MAML, reverse sweep",
    order=30,
    citation="Finn, Abbeel, Levine, ICML 2017, arXiv:1703.03400; the sweep is ours",
    text="""
- Inner training: K gradient-descent steps, all of them.
- Meta-gradient: exact, by a reverse sweep λ_k = λ_{k+1} − α ∇²L_S(u_k) λ_{k+1} without a graph.
- Memory: the K kept states (a bound on it trades memory for computing them again).
- Time: K gradients and K Hessian-vector products.
- Mind: the same gradient as unrolled MAML at the same K; it is here for a comparison at equal K.
""",
    style=Style("#882255", "-.", "v"),
    settings=Settings,
    module="maml_sweep",
    function="maml_sweep",
    role="baseline",
    trains="steps",
)
