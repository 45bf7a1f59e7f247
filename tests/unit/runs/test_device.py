"""Which device is chosen, and how it is named."""

import pytest
import torch

from pipeline.errors import BadInput
from pipeline.runs.device import DTYPES, choose_device, device_name, environment


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cuda", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
    ],
)
def test_the_choice(wanted, there, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(wanted).type == found


def test_no_gpu_where_one_is_wanted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match="found 'cuda', but torch sees no CUDA device here; set"):
        choose_device("cuda")


def test_an_unknown_device():
    with pytest.raises(BadInput, match="found 'tpu', allowed: auto, cuda, cpu"):
        choose_device("tpu")


def test_names(monkeypatch):
    assert device_name(torch.device("cpu")) == "cpu"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    assert device_name(torch.device("cuda")) == "A GPU"
    assert {"python", "torch", "platform", "machine"} == environment().keys()
    assert environment()["torch"] == torch.__version__


def test_dtypes_are_those_of_the_parameters():
    from typing import get_args

    from pipeline.config.schema import Params

    assert DTYPES.keys() == set(get_args(Params.model_fields["dtype"].annotation))
