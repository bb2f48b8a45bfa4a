"""How hard hypothesis looks: `fast` unless `pytest --hypothesis-profile=ci` says otherwise."""

from __future__ import annotations

from hypothesis import settings

# No deadline: what a shared machine does in between is not a property of the code.
settings.register_profile("fast", max_examples=30, deadline=None)
settings.register_profile("ci", max_examples=300, deadline=None, print_blob=True)
settings.load_profile("fast")
