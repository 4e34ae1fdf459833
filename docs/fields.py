"""Shows the fields of a NamedTuple or a dataclass as the parameters of its signature, not as a heading each.

An extension of Griffe, which reads the source code for the API reference.
"""

from collections.abc import Iterator
from typing import Any

from griffe import Attribute, Class, Expr, Extension, Function, Module, Parameter, ParameterKind, Parameters


class Fields(Extension):
    """Gives each class with fields an `__init__`; removes the fields that have no docstring of their own."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        found = [(cls, own) for cls in _classes(pkg) if (own := _fields(cls))]
        for cls, own in found:
            keyword = any('kw_only=True' in str(decorator.value) for decorator in cls.decorators)
            kind = ParameterKind.keyword_only if keyword else ParameterKind.positional_or_keyword
            parameters = [Parameter('self', kind=ParameterKind.positional_or_keyword)]
            parameters += [Parameter(f.name, annotation=f.annotation, kind=kind, default=f.value) for f in own.values()]
            cls.set_member('__init__', Function('__init__', parameters=Parameters(*parameters), returns='None'))
        for cls, own in found:
            for name in own.keys() & cls.members.keys():
                if cls.members[name].docstring is None:
                    cls.del_member(name)


def _classes(parent: Module | Class) -> Iterator[Class]:
    for member in parent.members.values():
        if isinstance(member, Class):
            yield member
        if isinstance(member, Module | Class):
            yield from _classes(member)


def _fields(cls: Class) -> dict[str, Attribute]:
    """The annotated attributes of a NamedTuple, or of a dataclass and the dataclasses that it extends."""
    if '__init__' in cls.members:
        return {}
    if any(str(base).endswith('NamedTuple') for base in cls.bases):
        return _own(cls)
    if not _is_dataclass(cls):
        return {}
    fields: dict[str, Attribute] = {}
    for parent in [*reversed(_parents(cls)), cls]:
        if _is_dataclass(parent):
            fields |= _own(parent)
    return fields


def _own(cls: Class) -> dict[str, Attribute]:
    return {
        name: member
        for name, member in cls.members.items()
        if isinstance(member, Attribute) and member.annotation is not None and 'property' not in member.labels
    }


def _is_dataclass(cls: Class) -> bool:
    return any(
        isinstance(decorator.value, Expr) and decorator.value.canonical_path == 'dataclasses.dataclass'
        for decorator in cls.decorators
    )


def _parents(cls: Class) -> list[Class]:
    try:
        return cls.mro()
    except ValueError:  # a base in another package
        return []
