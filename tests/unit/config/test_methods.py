"""Cards of the methods: each has a function in the core, settings it takes, and a text."""

import functools
import inspect
import json
from pathlib import Path

import pytest

from pipeline.config.methods import BUDGET, METHODS, TRAINS_STUDIES, WAYS
from pipeline.config.schema import load_params
from pipeline.core import METHODS as FUNCTIONS
from pipeline.jobs.recipes import core_settings

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")
GIVEN = {"horizon", "inner_lr", "inner_steps"}  # what a recipe adds to the settings


def plain(function):
    return function.func if isinstance(function, functools.partial) else function


def test_every_method_of_the_core_has_a_card_and_every_card_a_method():
    assert METHODS.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("card", METHODS.values(), ids=METHODS)
def test_a_card_names_its_function(card):
    module = inspect.getmodule(plain(FUNCTIONS[card.name]))
    assert module.__name__ == card.code
    assert getattr(module, card.function) is FUNCTIONS[card.name]


@pytest.mark.parametrize("card", METHODS.values(), ids=METHODS)
def test_the_function_takes_the_settings_of_its_card(card):
    settings = core_settings(PARAMS, card.name, 20)
    taken = inspect.signature(plain(FUNCTIONS[card.name])).parameters
    assert settings.keys() <= taken.keys()
    given = settings.keys() & GIVEN
    wanted = {"flow": {"horizon"}, "steps": {"inner_lr", "inner_steps"}, "nothing": set()}
    assert given == wanted[card.trains]


def test_a_cards_file_has_its_name():
    folder = ROOT / "pipeline/config/methods"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == METHODS.keys()


def test_methods_have_lines_of_their_own():
    lines = [(card.style.color, str(card.style.linestyle)) for card in METHODS.values()]
    assert len(set(lines)) == len(lines)
    assert len({card.order for card in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("card", METHODS.values(), ids=METHODS)
def test_every_method_is_described(card):
    lines = [line for line in card.text.splitlines() if line]
    wanted = ["Inner training", "Meta-gradient", "Memory", "Time", "Mind"]
    assert [line.removeprefix("- ").split(":")[0] for line in lines] == wanted
    assert card.citation


def test_the_schema_of_params_has_every_method():
    schema = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
    (entry,) = schema["properties"]["methods"]["patternProperties"].values()
    assert entry["discriminator"]["mapping"].keys() == METHODS.keys()


def test_the_two_that_others_are_measured_by():
    assert BUDGET.trains == "steps"
    assert TRAINS_STUDIES.trains == "flow"
    assert all(card.trains == "flow" for card, _ in WAYS.values())
