"""Reads pickles safely: nothing that a file names is imported or executed.

A pickle is a program for a small stack machine. This machine has only the instructions that weight files need. Names in
the file are looked up in a table of this package and never imported. Attributes are never looked up. Dictionary keys
are strings or numbers. The cost is bounded by the size of the file and by `MAX_INSTRUCTIONS`. Everything else raises
ValueError with one sentence.
"""

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = tuple[Any, ...]
MAX_INSTRUCTIONS = 1_000_000  # a network of 500 tensors has about 20,000
_STOP = 0x2E
_COST: dict[Any, int] = {
    str: 1,
    bytes: 1,
    memoryview: 1,
    tuple: 8,
    list: 32,
}  # cost in bytes of each item of an argument
_MAX_KEY = 2**60  # larger numbers can be chosen to collide in a dictionary


@dataclass(frozen=True)
class Function:
    """The value of a name that the file may call. run(tuple of arguments) -> value; it must check the arguments."""

    run: Callable[[Arguments], object]


@dataclass
class Object:
    """The inert instance of a class. name: of the class. arguments: of its call. state: as the file sets it."""

    name: str
    arguments: Arguments = ()
    state: object = None


def inert(name: str) -> Function:
    """A function that returns an `Object` with this name, for classes that a file may instantiate."""
    return Function(lambda arguments: Object(name, arguments))


def quote(text: str) -> str:
    """Text of a file for an error message: in quotes, printable, on one line, at most 80 characters."""
    return ascii(text if len(text) <= 80 else text[:77] + '...')


def load_pickle(
    data: memoryview,
    start: int,
    names: Mapping[str, object],
    persistent: Callable[[object], object] | None = None,
    most: int = MAX_INSTRUCTIONS,
) -> tuple[object, int]:
    """Reads the pickle at byte `start` of `data`: -> (value, position of the next byte).

    names: {'module.name': a `Function` or an inert value}; other names are refused. persistent(id): the value of a
    persistent id; it must check the id. most: the largest number of instructions.
    Raises ValueError with one sentence for a damaged or hostile pickle.
    """
    machine = _Machine(data, start, names, persistent)
    return machine.run(most), machine.position


def ordered_dict(arguments: Arguments) -> dict[Any, object]:
    """The dictionary of collections.OrderedDict() or collections.OrderedDict([[key, value], ...])."""
    result: dict[Any, object] = {}
    for pair in arguments[0] if arguments and isinstance(arguments[0], list) else []:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError('a dictionary of the file is not made of pairs; the file is damaged.')
        _set_item(result, *pair)
    return result


def _set_item(target: dict[Any, object], key: object, value: object) -> None:
    if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < _MAX_KEY):
        raise ValueError(f'a dictionary of the file has a key of type {type(key).__name__}; weight files have names.')
    target[key] = value


class _Machine:
    """The stack machine that runs one pickle."""

    def __init__(
        self,
        data: memoryview,
        start: int,
        names: Mapping[str, object],
        persistent: Callable[[object], object] | None,
    ):
        self.data, self.position = data, start
        self.names, self.persistent = names, persistent
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.credit = 2 * len(data) + 100_000  # the total cost that function arguments may have, in bytes

    def run(self, most: int) -> object:
        for _ in range(most):
            opcode = self.take(1)[0]
            if opcode == _STOP:
                return self.pop()
            if opcode not in _INSTRUCTIONS:
                raise ValueError(
                    f'its pickle has the instruction {_title(opcode)}, which weight files of protocol 2 to 5 do not '
                    "need; save the network's state_dict() again with a current torch."
                )
            _INSTRUCTIONS[opcode](self)
        raise ValueError(f'its pickle has more than {most} instructions; weight files have fewer.')

    # Reading.

    def take(self, size: int) -> memoryview:
        begin, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise ValueError('it ends in the middle of its pickle: truncated or damaged, so download it again.')
        return self.data[begin : self.position]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def block(self, length_layout: str) -> bytes:
        return bytes(self.take(self.number(length_layout)))

    def line(self) -> str:
        near = bytes(self.data[self.position : self.position + 256])
        length = near.find(b'\n')
        if length < 0:
            raise ValueError('a name in its pickle has no end; the file is damaged, so download it again.')
        self.take(length + 1)
        return _text(near[:length])

    # The stack.

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack:
            raise ValueError('its pickle takes more than it has put down; the file is damaged, so download it again.')
        return self.stack.pop()

    def pop_several(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def pop_marked(self) -> list[Any]:
        if not self.marks:
            raise ValueError('its pickle closes what it has not opened; the file is damaged, so download it again.')
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, kind: type) -> Any:
        value = self.pop()
        if type(value) is not kind:
            found, wanted = type(value).__name__, kind.__name__
            raise ValueError(f'its pickle has a {found} where a {wanted} belongs; the file is damaged or hostile.')
        self.push(value)
        return value

    # Instructions of more than one line.

    def remember(self, slot: int) -> None:
        value = self.pop()
        self.memo[slot] = value
        self.push(value)

    def recall(self, slot: int) -> None:
        if slot not in self.memo:
            raise ValueError('its pickle refers to a value that it has not kept; the file is damaged.')
        self.push(self.memo[slot])

    def append(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def set_items(self, flat: list[Any]) -> None:
        target = self.top(dict)
        if len(flat) % 2:
            raise ValueError('its pickle has a dictionary key without a value; the file is damaged.')
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            _set_item(target, key, value)

    def name(self, module: object, name: object) -> None:
        full = f'{module}.{name}' if isinstance(module, str) and isinstance(name, str) else ''
        if full not in self.names:
            raise ValueError(
                f'the file asks for {quote(full)}, which weight files do not need, and nothing of it was run; '
                "save the network's state_dict() and convert that."
            )
        self.push(self.names[full])

    def call(self) -> None:
        function, arguments = self.pop_several(2)
        if type(function) is not Function or type(arguments) is not tuple:
            raise ValueError('its pickle calls something that cannot be called; the file is damaged or hostile.')
        self.credit -= sum(_COST[type(item)] * len(item) for item in arguments if type(item) in _COST)
        if self.credit < 0:
            raise ValueError('its pickle uses the same data again and again, as no weight file does; it is hostile.')
        self.push(function.run(arguments))

    def build(self) -> None:
        """Sets the state of an object. The state of a dictionary (`_metadata` of a state_dict) is ignored."""
        state, target = self.pop(), self.pop()
        self.push(target)
        if type(target) is Object:
            target.state = state
        elif type(target) is not dict:
            found = type(target).__name__
            raise ValueError(f'its pickle gives a state to a {found}, which has none; the file is damaged or hostile.')

    def persistent_id(self) -> None:
        if self.persistent is None:
            raise ValueError('its pickle refers to data outside itself where none belongs; the file is damaged.')
        self.push(self.persistent(self.pop()))


def _text(raw: bytes) -> str:
    return raw.decode('utf-8', 'backslashreplace')


def _title(opcode: int) -> str:
    names = {ord(known.code): known.name for known in pickletools.opcodes}
    return names.get(opcode, f'0x{opcode:02x}')


def _protocol(m: _Machine) -> None:
    if not 2 <= (protocol := m.number('<B')) <= 5:
        raise ValueError(f'its pickle is of protocol {protocol}; protocols 2 to 5 are read.')


_INSTRUCTIONS: dict[int, Callable[[_Machine], object]] = {
    0x80: _protocol,
    0x95: lambda m: m.number('<Q'),  # FRAME: a hint for buffered readers
    ord('('): lambda m: m.marks.append(len(m.stack)),
    # Plain values.
    ord('N'): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord('K'): lambda m: m.push(m.number('<B')),
    ord('M'): lambda m: m.push(m.number('<H')),
    ord('J'): lambda m: m.push(m.number('<i')),
    0x8A: lambda m: m.push(int.from_bytes(m.block('<B'), 'little', signed=True)),
    ord('G'): lambda m: m.push(m.number('>d')),
    ord('X'): lambda m: m.push(_text(m.block('<I'))),
    0x8C: lambda m: m.push(_text(m.block('<B'))),
    0x8D: lambda m: m.push(_text(m.block('<Q'))),
    ord('U'): lambda m: m.push(m.block('<B').decode('latin-1')),  # strings of Python 2
    ord('T'): lambda m: m.push(m.block('<I').decode('latin-1')),
    ord('C'): lambda m: m.push(m.block('<B')),
    ord('B'): lambda m: m.push(m.take(m.number('<I'))),  # may be large: a view
    0x8E: lambda m: m.push(m.take(m.number('<Q'))),
    # Containers.
    ord(')'): lambda m: m.push(()),
    0x85: lambda m: m.push(tuple(m.pop_several(1))),
    0x86: lambda m: m.push(tuple(m.pop_several(2))),
    0x87: lambda m: m.push(tuple(m.pop_several(3))),
    ord('t'): lambda m: m.push(tuple(m.pop_marked())),
    ord(']'): lambda m: m.push([]),
    ord('a'): lambda m: m.append(m.pop_several(1)),
    ord('e'): lambda m: m.append(m.pop_marked()),
    ord('}'): lambda m: m.push({}),
    0x8F: lambda m: m.push([]),  # a set becomes a list
    0x90: lambda m: m.append(m.pop_marked()),
    ord('s'): lambda m: m.set_items(m.pop_several(2)),
    ord('u'): lambda m: m.set_items(m.pop_marked()),
    # The memo.
    ord('q'): lambda m: m.remember(m.number('<B')),
    ord('r'): lambda m: m.remember(m.number('<I')),
    0x94: lambda m: m.remember(len(m.memo)),
    ord('h'): lambda m: m.recall(m.number('<B')),
    ord('j'): lambda m: m.recall(m.number('<I')),
    # Names, calls, attributes, data outside the pickle.
    ord('c'): lambda m: m.name(m.line(), m.line()),
    0x93: lambda m: m.name(*m.pop_several(2)),
    ord('R'): lambda m: m.call(),
    0x81: lambda m: m.call(),  # NEWOBJ: cls.__new__(cls, *arguments)
    ord('b'): lambda m: m.build(),
    ord('Q'): lambda m: m.persistent_id(),
}
