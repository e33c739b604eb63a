"""Messages derived from ``wire.cddl``: good ones, and ones that are wrong in one place.

The schema is read by zcbor, whose tree of it also makes the C codec. Everything is a function of a seed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import zcbor

from lab.wire import messages as m

CDDL = (Path(m.__file__).parent / "wire.cddl").read_text()
ENVELOPE = 0

# How many keys that nobody knows a map may hold: what the C codec is generated with (firmware/cmake).
_RULES = zcbor.DataTranslator.from_cddl(CDDL, m.EXTRA_LIMIT).my_types


def _kinds() -> dict[str, int]:
    """Return the number of each rule in an input: its kind, or for a record of no envelope one of ours."""
    found = {
        name: int(number) for name, number in re.findall(r"^([a-z-]+) = .*; kind (\d+)", CDDL, re.MULTILINE)
    }
    others = {name: 250 + at for at, name in enumerate(("identity", "manifest", "package"))}
    return {"envelope": ENVELOPE} | found | {name: kind for name, kind in others.items() if name in _RULES}


KINDS = _kinds()

# -- CBOR with its mistakes (RFC 8949, section 3)

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)


@dataclass(frozen=True, slots=True)
class Item:
    """One CBOR item.

    :param content: what follows the head: bytes, or items (a map's keys and values in turn).
    :param width: bytes of the argument after the head's first; None for the shortest form, -1 for an
        indefinite length.
    """

    major: int
    argument: int = 0
    content: bytes | tuple[Item, ...] = b""
    width: int | None = None

    def encode(self) -> bytes:
        """Return the item's bytes."""
        body = self.content if isinstance(self.content, bytes) else b"".join(map(Item.encode, self.content))
        return self._head() + body + (b"\xff" if self.width == -1 else b"")

    def _head(self) -> bytes:
        first = self.major << 5
        if self.width == -1:
            return bytes([first | 31])
        shortest = next(
            width for width in (0, 1, 2, 4, 8) if self.argument < (24 if width == 0 else 1 << 8 * width)
        )
        width = shortest if self.width is None else max(self.width, shortest)
        if width == 0:
            return bytes([first | self.argument])
        return bytes([first | 23 + width.bit_length()]) + self.argument.to_bytes(width, "big")


def _integer(value: int) -> Item:
    return Item(_UNSIGNED, value) if value >= 0 else Item(_NEGATIVE, -1 - value)


def _string(major: int, content: bytes) -> Item:
    return Item(major, len(content), content)


def _list(*items: Item) -> Item:
    return Item(_LIST, len(items), items)


def _map(*items: Item) -> Item:
    return Item(_MAP, len(items) // 2, items)


def _float(value: float, width: int) -> Item:
    try:
        packed = struct.pack({2: ">e", 4: ">f", 8: ">d"}[width], value)
    except OverflowError:
        return _float(value, 8)
    return Item(_SIMPLE, int.from_bytes(packed, "big"), width=len(packed))


# -- good messages


class Generator:
    """Makes items that the schema allows, many of them at the limits of what it allows."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def message(self, rule: str) -> Item:
        """Return an item that matches a rule of the schema."""
        if rule == "envelope":
            name = self.random.choice([name for name, kind in KINDS.items() if 0 < kind < 250])
            body = self.message(name).encode()
            number = self.random.choice((0, 1, 23, 24, 255, 256, 65536, (1 << 32) - 1))
            return _list(_integer(KINDS[name]), _integer(number), _string(_BYTES, body))
        return self._value(_RULES[rule])

    def _value(self, rule: Any) -> Item:
        match rule.type:
            case "OTHER" if rule.value == "name":
                return _string(_TEXT, self._letters(self.random.choice((1, 5, 32))))
            case "OTHER":
                return self._value(_RULES[rule.value])
            case "UNION":
                return self._value(self.random.choice(rule.value))
            case "UINT" | "INT":
                return _integer(self._number(rule))
            case "FLOAT":
                value = self.random.choice((0.0, -0.0, 1.5, -2.25, 1e300, float("inf"), self.random.random()))
                return _float(value, self.random.choice((2, 4, 8)))
            case "BSTR":
                return _string(_BYTES, self.random.randbytes(self._size(rule, 300)))
            case "TSTR":
                return _string(_TEXT, self._text(self._size(rule, 300)))
            case "LIST":
                return _list(*(item for child in rule.value for item in self._repeated(child)))
            case "MAP":
                return _map(*self._pairs(rule))
            case "ANY":
                return self._anything(3)
        raise NotImplementedError(f"{rule.type} of the schema")

    def _number(self, rule: Any) -> int:
        if rule.value is not None:
            return int(rule.value)
        low = rule.min_value if rule.min_value is not None else 0 if rule.type == "UINT" else -(1 << 63)
        high = rule.max_value if rule.max_value is not None else (1 << 64) - 1
        edges = (low, high, 0, 1, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, -1, -24, -25)
        return self.random.choice(
            [edge for edge in edges if low <= edge <= high] + [self.random.randint(low, high)]
        )

    def _size(self, rule: Any, most: int) -> int:
        if rule.size is not None:
            return int(rule.size)
        low = rule.min_size or 0
        high = rule.max_size if rule.max_size is not None else most
        return self.random.choice((low, high, self.random.randint(low, min(high, low + 12))))

    def _letters(self, size: int) -> bytes:
        """Return what may be in a name."""
        return "".join(self.random.choices("abzAZ059._-", k=size)).encode()

    def _text(self, size: int) -> bytes:
        """Return `size` bytes of text."""
        text = self._letters(size)
        if size > 4 and self.random.random() < 0.2:
            text = (self.random.choice(("ü", "€", "😀", "\0", "\x7f", "�")).encode() + text)[:size]
            text = text.decode(errors="ignore").encode().ljust(size, b"x")
        return text

    def _repeated(self, rule: Any) -> list[Item]:
        count = self.random.choice(
            (rule.min_qty, rule.max_qty, self.random.randint(rule.min_qty, rule.max_qty))
        )
        if count > 2 and self.random.random() < 0.7:
            count = rule.min_qty + 1
        return [self._value(rule) for _ in range(count)]

    def _pairs(self, rule: Any) -> list[Item]:
        pairs: list[Item] = []
        key = 0
        for child in rule.value:
            if child.key.value is not None:
                key = child.key.value + 1
                pairs += [_integer(child.key.value), self._value(child)]
                continue
            # Keys of a later version: above all that are known, and rare.
            for _ in range(self.random.choice((0, 0, 0, 0, 0, 1, 2, child.max_qty))):
                pairs += [_integer(key), self._anything(3)]
                key += self.random.choice((1, 1, 20, 300, 70000))
        return pairs

    def _anything(self, depth: int) -> Item:
        choice = self.random.randrange(9 if depth else 6)
        match choice:
            case 0:
                return _integer(self.random.choice((0, -1, 1 << 33, (1 << 64) - 1, -(1 << 64))))
            case 1:
                return _string(_BYTES, self.random.randbytes(self.random.choice((0, 1, 30))))
            case 2:
                return _string(_TEXT, self._text(self.random.choice((0, 1, 30))))
            case 3:
                return Item(_SIMPLE, self.random.choice((20, 21, 22, 23)))
            case 4 | 5:
                return _float(self.random.random(), self.random.choice((2, 4, 8)))
            case 6 | 7:
                return _list(*(self._anything(depth - 1) for _ in range(self.random.randrange(4))))
            case _:
                keys = sorted(self.random.sample(range(40), self.random.randrange(4)))
                return _map(*(item for key in keys for item in (_integer(key), self._anything(depth - 1))))


# -- messages that are wrong in one place

_Mistake = Callable[[Random, Item], Item]


def _another_type(random: Random, item: Item) -> Item:
    return random.choice(
        (
            _integer(random.choice((0, -1, 1 << 32, 1 << 63, (1 << 64) - 1))),
            _string(_BYTES, b"abc"),
            _string(_TEXT, b"abc"),
            _list(),
            _map(),
            _float(1.0, 8),
            Item(_SIMPLE, random.choice((0, 19, 20, 21, 22, 23))),
            Item(_SIMPLE, random.choice((24, 32, 255)), width=1),
        )
    )


def _not_shortest(random: Random, item: Item) -> Item:
    return replace(item, width=random.choice((1, 2, 4, 8)))


def _indefinite(random: Random, item: Item) -> Item:
    if item.major in (_BYTES, _TEXT):
        return Item(item.major, content=(item,), width=-1)
    return replace(item, width=-1)


def _tagged(random: Random, item: Item) -> Item:
    return Item(_TAG, random.choice((0, 2, 4, 24, 28, 29, 55799)), (item,))


def _beyond(random: Random, item: Item) -> Item:
    """A number next to the one there is, a string or list one longer or shorter."""
    step = random.choice((-1, 1))
    if item.major in (_UNSIGNED, _NEGATIVE):
        return replace(item, argument=max(0, min((1 << 64) - 1, item.argument + step)))
    if isinstance(item.content, bytes) and item.major in (_BYTES, _TEXT):
        return _string(item.major, item.content[:-1] if step < 0 else item.content + b"x")
    return _children(random, item)


def _bad_text(random: Random, item: Item) -> Item:
    bad = random.choice(
        (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\0")
    )
    if item.major in (_BYTES, _TEXT) and isinstance(item.content, bytes):
        keep = item.content[: max(0, len(item.content) - len(bad))]
        return _string(_TEXT, random.choice((keep + bad, bad + keep)))
    return _string(_TEXT, bad)


def _wrong_length(random: Random, item: Item) -> Item:
    return replace(
        item, argument=random.choice((item.argument + 1, max(0, item.argument - 1), 1 << 31, 1 << 63))
    )


def _nested(random: Random, item: Item) -> Item:
    around = random.choice((b"\x81", b"\xa1\0"))
    depth = random.choice((7, 8, 9, 40, 1900))
    return Item(around[0] >> 5, 1, around[1:] + around * (depth - 1) + item.encode())


def _children(random: Random, item: Item) -> Item:
    """A list or map with one of its items dropped, doubled, moved, or more of them."""
    if isinstance(item.content, bytes) or not item.content:
        return _another_type(random, item)
    step = 2 if item.major == _MAP else 1
    groups = [item.content[at : at + step] for at in range(0, len(item.content), step)]
    at = random.randrange(len(groups))
    match random.randrange(5):
        case 0:
            del groups[at]
        case 1:
            groups.insert(at, groups[at])
        case 2:
            groups.append(groups.pop(at))
        case 3:
            groups += [groups[at]] * random.choice((8, 16, 30))
        case 4 if item.major == _MAP:
            first = 1 << random.choice((5, 31, 32, 40))
            count = random.choice((1, m.EXTRA_LIMIT, m.EXTRA_LIMIT + 1))
            groups += [(_integer(first + more), Item(_SIMPLE, 22)) for more in range(count)]
        case _:
            groups[at] = (_another_type(random, item), *groups[at][1:])
    return replace(item, argument=len(groups), content=tuple(part for group in groups for part in group))


_MISTAKES: tuple[_Mistake, ...] = (
    _another_type,
    _not_shortest,
    _indefinite,
    _tagged,
    _beyond,
    _beyond,
    _bad_text,
    _wrong_length,
    _nested,
    _children,
    _children,
)


def _spoil(random: Random, item: Item) -> Item:
    """Make one mistake somewhere in an item."""
    if isinstance(item.content, tuple) and item.content and random.random() < 0.75:
        at = random.randrange(len(item.content))
        spoilt = _spoil(random, item.content[at])
        return replace(item, content=(*item.content[:at], spoilt, *item.content[at + 1 :]))
    return random.choice(_MISTAKES)(random, item)


def mutate(random: Random, data: bytes) -> bytes:
    """Change bytes without knowing what they mean."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                changed.insert(at, random.choice((0, 0x17, 0x18, 0x80, 0xA0, 0xFF, random.randrange(256))))
            case 2:
                del changed[at : at + random.choice((1, 1, 4))]
            case _ if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
    return bytes(changed)


@dataclass(frozen=True, slots=True)
class Sample:
    """One input: the rule it was made from, the CBOR, and whether the schema allows it."""

    rule: str
    body: bytes
    good: bool

    @property
    def kind(self) -> int:
        """What the C side calls the rule."""
        return KINDS[self.rule]


def samples(seed: int, per_rule: int, rules: Iterable[str] = KINDS) -> Iterator[Sample]:
    """Yield for each of the rules `per_rule` good messages, and as many with a mistake, not all harmful."""
    for rule in rules:
        random = Random(f"{seed} {rule}")
        generator = Generator(random)
        for _ in range(per_rule):
            item = generator.message(rule)
            yield Sample(rule, item.encode(), good=True)
            spoilt = _spoil(random, item).encode()
            yield Sample(rule, spoilt if random.random() < 0.8 else mutate(random, spoilt), good=False)
