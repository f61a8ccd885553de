"""Fuzz the options of the networks from other packages: a network is built, or refused with a UserError."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intrada.models import build_model
from tests.support.bad_inputs_tree import NETWORKS
from tests.support.fuzzing import fuzz, mutated, user_error


@fuzz
@given(st.data())
@pytest.mark.filterwarnings("ignore")  # of the packages, about values that they accept
def test_options_of_a_network_are_accepted_or_refused(data: st.DataObject) -> None:
    network = data.draw(st.sampled_from(NETWORKS))
    options = data.draw(mutated({"options": network["options"]})).get("options")
    if isinstance(options, dict) and all(isinstance(key, str) for key in options):  # as the schema demands

        def build() -> None:
            with torch.device("meta"):  # numbers of any size need no memory
                build_model(network["name"], 3, options)

        user_error(build)
