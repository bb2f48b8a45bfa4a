"""Small functions that take every turn of control flow there is; run under tracing by `flow_trace.py`."""
# pyrefly: ignore-errors

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress


class Boom(Exception):
    pass


def boom(value=None):
    raise Boom(value)


def finals(way):
    done = []
    for i in range(3):
        try:
            if way == "break":
                break
            if way == "continue":
                continue
            if way == "return":
                return done
            if way == "raise":
                raise Boom(i)
            if way == "call":
                boom(i)
        except Boom as error:
            done.append(error)
            if i == 2:
                raise
        else:
            done.append(i)
        finally:
            done.append("f")
            if i > 5:
                done.clear()
    else:
        return "else", done
    return done


def nested_finals(way):
    while True:
        try:
            try:
                with suppress(ValueError):
                    if way == 0:
                        return 0
                    if way == 1:
                        break
                    if way == 2:
                        way += 1
                        continue
                    if way == 3:
                        raise ValueError
                    if way == 4:
                        raise KeyError
                way = 4
            finally:
                for _ in range(1):
                    way += 0
        except KeyError:
            way = 1
        finally:
            way = way


def swallow():
    try:
        return boom()
    finally:
        return 1


@contextmanager
def manager(eats):
    try:
        yield eats
    except Boom:
        if not eats:
            raise


def contexts(eats, how):
    with manager(True) as a, manager(eats) as (b):
        if how == "raise":
            boom()
        if how == "return":
            return a
    return b


def choices(a, b, c):
    x = a if b else c
    y = a and b or c
    z = 1 < a < b < c
    w = not (a and (b or c))
    return x, y, z, w, (n := a) if a else None, [n for n in (a, b, c) if n if n > 1 for _ in range(n) if _]


def loops(n):
    while n:
        n -= 1
        if n == 5:
            continue
        if n == 2:
            break
    else:
        n = 9
    for i in range(n):
        if i == 4:
            break
        for j in range(i):
            if j == 2:
                continue
    else:
        return {k: v for k, v in zip("ab", range(n), strict=False)}, {i for i in range(n)}
    return list(i for i in range(n) if i % 2)


class Point:
    __match_args__ = ("x", "y")

    def __init__(self, x, y=0):
        self.x, self.y = x, y


def cases(value):
    match value:
        case 0 | 1 | -1:
            return "small"
        case [1, x, *rest] if x:
            return rest
        case [a, (b as c)] | (a, b, c):
            return a, b, c
        case {"key": 1, "other": [x], **others}:
            return others
        case {}:
            return "mapping"
        case Point(0, y=y) | Point(y, 0):
            return y
        case Point(x=Point() as p):
            return p
        case None | True:
            return "singleton"
        case str() as s if s.startswith("a"):
            return s
        case str(s):
            pass
        case _:
            return "other"
    return "end"


def groups(*errors):
    found = []
    try:
        try:
            raise ExceptionGroup("g", errors)
        except* ValueError as group:
            found.append(group)
        except* (KeyError, TypeError):
            found.append("k")
            if len(errors) > 2:
                boom()
        else:
            found.append("never")
        finally:
            found.append("f")
    except ExceptionGroup:
        found.append("rest")
    return found


def handlers(error):
    try:
        raise error
    except (ValueError, KeyError) as e:
        return e
    except TypeError:
        pass
    except Boom:
        raise KeyError from None
    except:
        return "bare"
    return "type"


def asserts(x):
    assert x, "no"
    assert x > 1
    del x
    try:
        return x
    except NameError:
        return None


def gen(n):
    for i in range(n):
        try:
            got = yield i
            if got:
                return got
        except Boom:
            yield "boom"
        finally:
            n += 0
    yield from (j for j in range(2))


async def agen(n):
    for i in range(n):
        yield i
        await asyncio.sleep(0)


class Async:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        return exc[0] is Boom


async def asyncs(how):
    async with Async() as a, Async():
        async for i in agen(3):
            if i == how:
                break
            if how == 7:
                boom()
            if how == 8:
                return a
        else:
            a = [i async for i in agen(2) if i]
    return a


def shapes():
    a, (b, *c) = 1, (2, 3, 4)
    d = e = {"k": [1]}
    d["k"][0] += 1
    x: int = 5
    e.update(k=1, **{"z": 2})
    f = lambda q, r=x: (q, r) if q else r
    print(*c, sep=f"{a!r:>{b}}", file=open("/dev/null", "w"))

    @(lambda g: g)
    class Inner(dict, metaclass=type):
        y: int = x
        z = [i for i in range(x)]
        if y:
            w = 1
        else:
            w = 2

    return f(0), f(1), Inner, global_one()


def global_one():
    global ONE
    ONE = 1
    return ONE


def tried(function, *arguments):
    try:
        return function(*arguments)
    except BaseException as error:
        return error


for way in ("break", "continue", "return", "raise", "call", ""):
    tried(finals, way)
for way in range(6):
    tried(nested_finals, way) if way < 5 else None
swallow()
for eats in (True, False):
    for how in ("raise", "return", ""):
        tried(contexts, eats, how)
for a in (0, 1, 3):
    for b in (0, 2, 4):
        for c in (0, 5):
            choices(a, b, c)
for n in range(10):
    loops(n)
for value in (0, -1, [1, 2, 3], [1, 0], [5, 6], (1, 0, 3), {"key": 1, "other": [2], "z": 3}, {"key": 2}, Point(0, 3),
              Point(3, 0), Point(Point(1)), Point(1, 1), None, True, "abc", "b", 5.5, b"x"):  # fmt: skip
    cases(value)
for errors in (
    [ValueError()],
    [KeyError()],
    [OSError()],
    [ValueError(), KeyError(), OSError()],
    [ValueError(), TypeError()],
):
    tried(groups, *errors)
for error in (ValueError(), TypeError(), Boom(), OSError()):
    tried(handlers, error)
for x in (0, 1, 2):
    tried(asserts, x)
list(gen(2))
g = gen(3)
next(g)
tried(g.throw, Boom)
tried(g.send, 1)
g = gen(3)
next(g)
tried(g.send, 1)
g = gen(1)
next(g)
g.close()
for how in (1, 5, 7, 8):
    asyncio.run(asyncs(how))
shapes()
