"""Write the tables of docs/settings.md anew, from the dataclasses in no_time_to_train/config.py.

    python -m scripts.settings_page

A test compares the page with what this writes.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import enum
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
START, END = "<!-- tables: python -m scripts.settings_page -->", "<!-- end of tables -->"
GROUPS = {
    "model_cfg": ModelConfig,
    "dataset_cfgs": DatasetsConfig,
    "data_load_cfgs": DataLoadConfig,
}
TEST_MODE = "| `test_mode` | test | The stage to run. |"


def tables() -> str:
    """The tables of all settings, one per group."""
    parts = [part for name, config in GROUPS.items() for part in _group(name, config)]
    return "\n\n".join([*parts, f"### The stage\n\n{_table([TEST_MODE])}"])


def _group(prefix: str, config: type) -> Iterator[str]:
    """The table of a group's own settings, then those of the groups in it."""
    kinds, meanings = get_type_hints(config), field_docstrings(config)
    rows, inner = [], {}
    for field in dataclasses.fields(config):
        name = f"{prefix}.{field.name}"
        if dataclasses.is_dataclass(kinds[field.name]):
            inner[name] = kinds[field.name]
        else:
            meaning = meanings[field.name]
            rows.append(f"| `{name}` | {_default(field)} | {meaning} |")
    choices = {field: _choices(kinds[field]) for field in kinds}
    listed = [f"* `{prefix}.{field}`: {text}" for field, text in choices.items() if text]
    if rows:
        parts = [f"### `{prefix}`", _docstring(config), _table(rows), "\n".join(listed)]
        yield "\n\n".join(part for part in parts if part)
    for name, kind in inner.items():
        yield from _group(name, kind)


def _table(rows: list[str]) -> str:
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *rows])


def _docstring(config: type) -> str:
    return " ".join((inspect.getdoc(config) or "").split("\n\n")[0].split())


def field_docstrings(config: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, on one line."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(statement.target, ast.Name) and isinstance(after.value, ast.Constant)
            found[statement.target.id] = " ".join(str(after.value.value).split())
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    made = field.default_factory is not dataclasses.MISSING
    value = field.default_factory() if made else field.default  # type: ignore[misc]
    value = value.value if isinstance(value, enum.Enum) else value
    return "-" if value is None else str(value)


def _choices(kind: Any) -> str:
    """The values that a setting may have, where they are listed."""
    named = [part for part in (kind, *get_args(kind)) if get_origin(part) is Literal]
    values = [value for part in named for value in get_args(part)]
    return ", ".join(map(str, values)) if len(values) > 1 else ""


def updated(page: str) -> str:
    """The page with its tables written anew."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables()}\n\n{END}{after}"


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
