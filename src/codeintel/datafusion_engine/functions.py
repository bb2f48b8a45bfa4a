"""Identity of the functions that views may call."""

from __future__ import annotations

from codeintel.code_fingerprint import code_digest
from codeintel.fingerprint import digest
from codeintel.relspec.pipeline import ScalarFunction


def function_digest(function: ScalarFunction) -> str:
    """Digest of the types, and of the code as far as it can be reached."""
    return digest(code_digest(function.function), [str(each) for each in function.inputs], str(function.returns))
