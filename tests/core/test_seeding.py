from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intrada.core import seeding

NAMES = st.lists(st.one_of(st.integers(0, 2**40), st.text("abc_@.", min_size=1)), min_size=1, max_size=3)


def test_a_derived_seed_never_changes() -> None:
    # blake2b of "1/labelled/order/0": an older result stays reproducible
    assert seeding.derive(1, "labelled", "order", 0) == 6328264328391487737


@given(st.integers(0, 2**32 - 1), NAMES)
def test_a_derived_seed_has_63_bits_and_depends_on_its_name_alone(seed: int, names: list[str | int]) -> None:
    derived = seeding.derive(seed, *names)
    assert 0 <= derived < 2**63
    np.random.default_rng().random()
    assert seeding.derive(seed, *names) == derived


def test_every_seed_name_and_position_gives_another_stream() -> None:
    names: list[tuple[str | int, ...]] = [(), ("a",), ("b",), ("a", 1), ("a", 11), ("a", 1, 1), ("a1", 1)]
    streams = {seeding.stream(seed, *name).bytes(8) for seed in (0, 1, 11) for name in names}
    assert len(streams) == 3 * len(names)


def test_a_stream_restarts_each_time_and_numpys_global_generator_is_unchanged() -> None:
    state = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    first = seeding.stream(3, "a")
    first.random(100)
    assert seeding.stream(3, "a").random() == seeding.stream(3, "a").random() != first.random()
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index, union-attr]


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), NAMES)
def test_a_permutation_contains_each_number_once(seed: int, length: int, names: list[str | int]) -> None:
    order = seeding.permutation(seed, length, *names)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(length))
    assert np.array_equal(order, seeding.permutation(seed, length, *names))


def test_permutations_of_different_names_differ() -> None:
    orders = {tuple(seeding.permutation(1, 20, "order", epoch)) for epoch in range(50)}
    assert len(orders) == 50
