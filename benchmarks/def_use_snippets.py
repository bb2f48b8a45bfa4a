"""Small functions that bind, unbind and read in every way there is; run under tracing by `def_use_trace.py`."""
# pyrefly: ignore-errors

import contextlib
import os.path as path
from os import sep as separator


class Box:
    shared = 0

    def __init__(self, value=None, *rest, **named):
        self.value = value
        self.rest = rest
        self.other = self
        if rest:
            self.value = rest[0]
        self.named = named or self.value

    def bump(self, times):
        for _ in range(times):
            self.value += 1
            if self.value % 2:
                self.value = self.value + 1
        return self.value

    def linked(self, other):
        self.value = 1
        other.value = 2
        seen = [self.value, other.value]
        self.other.value = 3
        seen += [self.value, other.value, self.other.value]
        other = self.other
        other.value += seen[0]
        return self.value, other.value, seen


def aliases(a, b):
    c = a
    a.value = 1
    c.value = 2
    first = a.value
    for box in (a, b, a):
        box.value = first
        first = box.value
        box.value = first + 1
    a = b
    a.value = 5
    a = c
    return a.value, b.value, box.value


def shapes(n):
    a = b = n
    (c, [d, *e]), f = ((a, [b, 1, 2]), n)
    f += c
    g: int = f
    h: int
    if (i := g) and (j := i):
        h = j
    else:
        h = -1
    del a
    a, b = b, h
    k = [x + y for x in e if x for y in range(x)]
    m = {x: (z := y) for x, y in enumerate(k)}
    w = {x for x in m}
    return a, b, c, d, e, f, g, h, i, k, m, w, list(y for y in k if y or n), (lambda q, r=n: q + r)(n)


def loops(values):
    last = total = value = None
    for value in values:
        if value is None:
            continue
        if value == "stop":
            break
        last = value
        total = value if total is None else total
    else:
        last = (last, "ended")
    while values:
        value, *values = values
        if value == "stop":
            found = value
            break
    else:
        found = "nothing"
    return last, total, value, found


def errors(kind):
    state = "begun"
    error = "none yet"
    try:
        state = "tried"
        if kind:
            raise kind
        state = "passed"
    except ValueError as error:
        state = (state, error)
        text = str(error)
    except (KeyError, TypeError) as other:
        error = other
        state = error
        text = repr(other)
    else:
        text = state
    finally:
        state = (state, "cleaned")
        with contextlib.suppress(NameError):
            state = (state, error)
    return state, text


def nested_errors():
    out = []
    for kind in (ValueError("a"), KeyError("b"), None):
        try:
            try:
                if kind:
                    raise kind
            except ValueError as e:
                kind = e
                out.append(e)
                raise
            out.append(kind)
        except Exception as e:
            out.append(e)
            continue
        e = "plain"
        out.append(e)
    return out


def failing(name):
    value = 1
    try:
        value += name
    except TypeError:
        value = (value, "kept")
    try:
        import json.no_such_module as value
    except ImportError:
        value = (value, "kept again")
    return value


@contextlib.contextmanager
def managed(value):
    yield value


def contexts(value):
    result = "before"
    with managed(value) as (a, b), contextlib.suppress(ZeroDivisionError):
        result = a
        result = a / b
    with managed(result) as result:
        return result, a, b


def cases(subject, rest=None):
    match subject:
        case [a, b, *rest] if a:
            return a, b, rest
        case {"k": a, **rest}:
            return a, rest
        case Box(value=a) | (a, 0):
            kind = a
        case str() as kind:
            pass
        case kind:
            rest = kind
    return kind, rest


counter = 0


def counted():
    global counter
    counter += 1
    return counter


def closures(n):
    value = n
    calls = []

    def change():
        nonlocal value
        value = (value, "changed")
        calls.append(value)
        return value

    first = change()
    value = (value, first)
    calls.append(lambda: value)
    second = change()
    value = "late"
    return calls[1](), first, second, [call for call in calls if value]


def generated(n):
    got = yield n
    while got:
        n = got
        got = yield n, got
    return n


class Namespace:
    counter = counter
    len = len
    if counter:
        name = counter
    try:
        name
    except NameError:
        name = "missing"
    size = [len(x) for x in (name,) if isinstance(x, str)]
    del len
    length = len("abc")

    def method(self, name=name):
        return name, counter


def run():
    for n in (0, 1, 2):
        shapes(n)
        cases([n, 1])
        closures(n)
    for values in ([], [1, None, 2], [1, "stop", 2], ["stop"]):
        loops(values)
    for kind in (None, ValueError("v"), KeyError("k"), TypeError("t")):
        errors(kind)
    nested_errors()
    failing("x")
    failing(1)
    for pair in ((1, 2), (1, 0)):
        contexts(pair)
    for subject in ([1, 2, 3], {"k": 1, "z": 2}, Box(4), (5, 0), "text", 6, [0, 9, 9]):
        cases(subject)
    a, b = Box(1), Box(2, 3, x=4)
    aliases(a, b)
    aliases(a, a)
    a.linked(b)
    b.linked(b)
    a.bump(3)
    steps = generated(1)
    next(steps)
    steps.send(2)
    for _ in range(2):
        counted()
    Namespace().method()
    return path, separator, counter


counter = 10
run()
for counter in range(2):

    class Again:
        if counter:
            flag = counter
        before = counter
        try:
            before = flag
        except NameError:
            flag = "none"
        after = flag
