"""First-order MAML: its title, colour, settings and texts."""

from pipeline.config.card import MethodCard, MethodSettings, Style

CARD = MethodCard(
    name="fomaml",
    title="FOMAML",
    order=40,
    citation="Finn, Abbeel, Levine, ICML 2017, arXiv:1703.03400",
    text="""
- Inner training: K gradient-descent steps.
- Meta-gradient: ∇L_Q at the end; the Jacobian of the training is replaced by the identity.
- Memory: one state; nothing of the way is kept.
- Time: K gradients, no Hessian-vector product.
- Mind: the longer the training, the further the identity is from the Jacobian.
""",
    style=Style("#E69F00", "-", "^"),
    settings=MethodSettings,
    module="first_order",
    function="fomaml",
    role="baseline",
    trains="steps",
    first_order=True,
    proposed=True,
    is_budget=True,
)
