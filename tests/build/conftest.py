"""A tiny repository, and builds of it that tests may share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import codeintel

FILES = {
    "shop/__init__.py": "from shop.cart import Cart\n__all__ = ['Cart']\n",
    "shop/cart.py": '''\
"""Carts."""
import math
from os import path as osp

from .prices import price_of as price


class Cart:
    rate = 0.25

    def __init__(self, owner, *goods, **options):
        self.owner = owner
        self.goods = list(goods)

    def total(self):
        return math.fsum(price(good) for good in self.goods) * (1 + self.rate)

    @property
    def name(self):
        return osp.join("carts", self.owner)

    @name.setter
    def name(self, value):
        self.owner = value
''',
    "shop/prices.py": """\
PRICES = {"tea": 3.5}


def price_of(good, default=None):
    if good in PRICES:
        return PRICES[good]
    return default


def price_of(good):
    return PRICES.get(good, 0)
""",
    "tools/run.py": "import shop\nprint(shop.Cart('ada', 'tea').total())\n",
    "tools/shop.py": "x = 1\n",
    "broken.py": "):\n",
    "latin.py": b"# -*- coding: latin-1 -*-\ns = '\xe9t\xe9'\n",
}


def write_repository(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], Path]:
    return lambda files: write_repository(tmp_path / "repository", files)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that has been built; nobody changes it."""
    root = write_repository(tmp_path_factory.mktemp("shop") / "shop", FILES)
    result = codeintel.build(root, jobs=1)
    assert result.status == "ok", result
    return root


@pytest.fixture(scope="session")
def snapshot(shop: Path) -> codeintel.Snapshot:
    return codeintel.open(shop / ".codeintel")
