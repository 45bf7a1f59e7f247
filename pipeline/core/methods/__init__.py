"""The methods by name. A new one is a module beside this and a line here."""

from collections.abc import Callable

from pipeline.core.methods.amaml import amaml
from pipeline.core.methods.amaml_rkc import amaml_anytime, amaml_rkc
from pipeline.core.methods.first_order import fomaml, reptile
from pipeline.core.methods.imaml import imaml
from pipeline.core.methods.maml import maml
from pipeline.core.methods.maml_sweep import maml_sweep
from pipeline.core.methods.problem import Adapted

METHODS: dict[str, Callable[..., Adapted]] = {
    "maml": maml,
    "maml1": maml,  # the same, with one inner step
    "maml_sweep": maml_sweep,
    "fomaml": fomaml,
    "reptile": reptile,
    "imaml": imaml,
    "amaml": amaml,
    "amaml_rkc": amaml_rkc,
    "amaml_anytime": amaml_anytime,
}
