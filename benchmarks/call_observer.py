"""Runs the tests of a package and writes down who called whom in it. Needs nothing but pytest beside it.

    python call_observer.py OUT SECONDS PACKAGE_DIR PYTEST_ARGUMENT...

Frames of code below PACKAGE_DIR, but in no folder called `tests`, are *inside*. A call is written as the instruction it
came from (file, code, span, operation) and the code that was entered. Resuming a generator or a coroutine is no call;
starting one is: the interpreter tells of it when its body begins, and so whoever first steps through it counts as its
caller, whoever made it. If frames that are not inside lie between two that are, the call is marked as indirect. Where
a call at an instruction went elsewhere, to C or to outside, the instruction is listed without a callee.
Only connections to this machine are let through.
"""

from __future__ import annotations

import dis
import json
import os
import signal
import sys
import threading
from importlib import import_module
from itertools import islice
from types import CodeType, FrameType
from typing import Any

OUTSIDE, PLAIN, RESUMABLE, BODY = 0, 1, 2, 3
_RESUMABLE = 0x20 | 0x80 | 0x200  # generators, coroutines and what is both
_BODIES = ("<module>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
_OPTIMISED = 0x1  # bodies of classes are not
_RESUME = dis.opmap["RESUME"]
# At one of these the interpreter called something of its own accord: a finalizer, what a weak reference calls.
_NEVER_CALL = ("POP_TOP", "POP_EXCEPT", "LOAD_FAST", "LOAD_CONST", "STORE_FAST", "BUILD_", "SWAP", "COPY",
               "JUMP_FORWARD", "JUMP_BACKWARD", "RETURN_", "MAKE_", "DELETE_FAST", "PUSH_", "NOP", "RESUME", "RERAISE",
               "YIELD_")  # fmt: skip


class Observer:
    """What `sys.setprofile` calls."""

    def __init__(self, package: str) -> None:
        self.package = package + os.sep
        self.sorts: dict[int, int] = {}
        self.codes: dict[int, CodeType] = {}
        self.bytes: dict[int, bytes] = {}
        self.calls: set[tuple[int, int, int, bool]] = set()
        self.executed: set[tuple[int, int]] = set()
        self.from_outside: set[int] = set()

    def sort(self, code: CodeType) -> int:
        path = os.path.abspath(code.co_filename)  # noqa: PTH100 - called for every code object
        inside = path.startswith(self.package) and "/tests/" not in path[len(self.package) - 1 :]
        if not inside:
            sort = OUTSIDE
        elif code.co_name in _BODIES or not code.co_flags & _OPTIMISED:
            sort = BODY
        else:
            sort = RESUMABLE if code.co_flags & _RESUMABLE else PLAIN
        self.sorts[id(code)] = sort
        self.codes[id(code)] = code  # or its id would be used again
        if sort == RESUMABLE:
            self.bytes[id(code)] = code.co_code
        return sort

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        number = id(code)
        sort = self.sorts.get(number)
        if sort is None:
            sort = self.sort(code)
        if event == "c_call":
            if sort:
                self.executed.add((number, frame.f_lasti))
            return
        if event != "call" or sort == BODY:
            return
        back = frame.f_back
        if sort == OUTSIDE:
            if back is not None and self.sorts.get(id(back.f_code)):
                self.executed.add((id(back.f_code), back.f_lasti))
            return
        if sort == RESUMABLE:
            begun = self.bytes[number][frame.f_lasti : frame.f_lasti + 2]
            if begun[0] != _RESUME or begun[1] & 3:  # resumed after a yield, or thrown into
                return
        direct = True
        while back is not None:
            caller = self.sorts.get(id(back.f_code))
            if caller is None:
                caller = self.sort(back.f_code)
            if caller:
                self.calls.add((id(back.f_code), back.f_lasti, number, direct))
                return
            direct, back = False, back.f_back
        self.from_outside.add(number)

    def operation(self, code: int, offset: int) -> str:
        bytecode = self.codes[code].co_code
        while bytecode[offset] == 0:  # room that the instruction before it keeps for its cache
            offset -= 2
        return dis.opname[bytecode[offset]]

    def found(self) -> dict[str, Any]:
        """Codes as `[path, first line, qualified name, span of an instruction]`; sites as `[code, span, operation]`."""
        numbers = {number: index for index, number in enumerate(n for n, sort in self.sorts.items() if sort)}
        codes = []
        for number in numbers:
            code = self.codes[number]
            first = next((p for p in code.co_positions() if p[2] is not None and p[3]), (None,) * 4)
            codes.append([os.path.abspath(code.co_filename), code.co_firstlineno, code.co_qualname, first])  # noqa: PTH100
        self.calls = {row for row in self.calls if not self.operation(*row[:2]).startswith(_NEVER_CALL)}
        at = sorted({(c, i) for c, i, _, _ in self.calls} | self.executed)
        sites = {key: index for index, key in enumerate(at)}
        listed = []
        for code, offset in at:
            span = next(islice(self.codes[code].co_positions(), offset // 2, None), None)
            listed.append([numbers[code], span, self.operation(code, offset)])
        return {
            "codes": codes,
            "sites": listed,
            "calls": sorted([sites[c, i], numbers[callee], direct] for c, i, callee, direct in self.calls),
            "from_outside": sorted(numbers[number] for number in self.from_outside),
        }


def only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    if arguments[1][0] not in ("127.0.0.1", "::1", "localhost"):
        raise ConnectionRefusedError(f"no connection to {arguments[1]}")


def main() -> None:
    out, seconds, package, *given = sys.argv[1:]
    observer = Observer(package)
    sys.addaudithook(only_loopback)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(int(seconds))
    threading.setprofile(observer)
    sys.setprofile(observer)
    try:
        status = int(import_module("pytest").main(given))
    except KeyboardInterrupt:
        status = -1
    finally:
        sys.setprofile(None)
        signal.alarm(0)
    with open(out, "w", encoding="utf-8") as file:  # noqa: PTH123 - as small as it can be
        json.dump({"status": status, **observer.found()}, file)


if __name__ == "__main__":
    main()
