"""A seeded sample of the kinds of change; `python benchmarks/mutations.py` tries them all."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build.mutations import DAMAGE, FILES, PLANS, PYTHON, Engine, Facts, Mutation, make_base, tried

CHANCE = random.Random(4)
SAMPLE = [m for kinds, count in ((PYTHON, 3), (PLANS, 2), (DAMAGE, 1), (FILES, 2))
          for m in CHANCE.sample([m for m in kinds if not m.open], count)]  # fmt: skip
Base = Callable[[Engine], tuple[Path, Facts]]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """What was built before any change, with what its last build told."""
    made: dict[Engine, tuple[Path, Facts]] = {}

    def make(engine: Engine) -> tuple[Path, Facts]:
        if engine not in made:
            folder = tmp_path_factory.mktemp("base") / engine
            made[engine] = folder, make_base(folder, engine)
        return made[engine]

    return make


@pytest.mark.parametrize("mutation", SAMPLE, ids=lambda m: m.name)
def test_after_a_change_nothing_is_stale_and_its_undoing_reuses_everything(
    mutation: Mutation, base: Base, tmp_path: Path
) -> None:
    folder, before = base(mutation.engine)
    found = tried(mutation, folder, before, tmp_path)
    assert found.ok, found


def test_kinds_of_change_have_names_of_their_own_and_are_forty_at_least() -> None:
    names = [mutation.name for kinds in (PYTHON, PLANS, DAMAGE, FILES) for mutation in kinds]
    assert len({*names}) == len(names)
    assert len(names) >= 40
