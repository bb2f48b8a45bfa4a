"""Whole-program steps in Python.

The name of this package is that of the public decorator, `@codeintel.analysis(schema)`: whichever of the two was
imported first, calling it decorates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pyarrow as pa

from codeintel.relspec.pipeline import AnyAnalysis, analysis


class _CallablePackage(ModuleType):
    def __call__(self, schema: pa.Schema, components: str | None = None) -> Callable[[AnyAnalysis], AnyAnalysis]:
        return analysis(schema, components)


sys.modules[__name__].__class__ = _CallablePackage
