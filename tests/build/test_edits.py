"""A build after random edits equals a clean one; `python benchmarks/edits.py` makes more of them, and on Django."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

import codeintel
from tests.build.edits import data_versions, delta_rows, edits, small_repository, write_edit


@pytest.mark.parametrize("seed", range(4))
def test_after_random_edits_every_table_equals_a_clean_build(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    root, store = tmp_path / "repository", tmp_path / "store"
    before = small_repository(chance)
    write_edit(root, {}, before)
    codeintel.build(root, store=store, jobs=1, bucket_count=3)
    done = []
    for kind, after in islice(edits(before, chance), 6):
        changed, before = write_edit(root, before, after), after
        done.append(kind)
        result = codeintel.build(root, store=store, jobs=1, bucket_count=3)
        assert result.files["extracted"] <= len(changed), done  # fewer where an edit was undone
        if len(done) % 2 == 0:
            clean = tmp_path / f"clean-{len(done)}"
            codeintel.build(root, store=clean, jobs=1, bucket_count=3)
            assert data_versions(store) == data_versions(clean), done
            assert delta_rows(store) == delta_rows(clean), done
