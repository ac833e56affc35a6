"""Reference sets: which annotations are the examples of each class, as a pickle or json file.

The file is category_id -> [{"img_id": image id, "ann_ids": [annotation ids]}, ...], and the order
of classes and references is the order in which memory is filled. Pickles are passed around between
people, so one is read as if it were hostile: its opcodes are checked before any of them runs.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr as brief
from typing import Any, NoReturn

from no_time_to_train.coco.annotations import Id
from no_time_to_train.errors import InputError, listed
from no_time_to_train.files import atomic_write, check_regular_file

MAX_BYTES = 100_000_000
"""All of COCO train2017 as references takes a third of it."""
MAX_IDS = 10_000_000
"""Most annotation ids, a list counted wherever it is used: a pickle can name one list many times.
All of COCO train2017 has a tenth of them."""
MAX_SHOWN = 20
"""Classes that a message names."""

# Enough for dicts, lists, strings and numbers. Left out with intent: whatever names or calls Python
# objects, tuples (hashing deeply nested ones overflows the stack), 8-byte lengths.
SAFE_OPCODES = frozenset(
    "PROTO FRAME STOP MARK MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET "
    "EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS NONE NEWTRUE NEWFALSE "
    "INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE".split()
)
MEMO_OPCODES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
DAMAGED = "a damaged pickle, or no reference set at all; make it again"


@dataclass(frozen=True, slots=True)
class ReferencePick:
    """One reference: an image and its annotations, of which the first is used."""

    img_id: Id
    ann_ids: list[Id]


def tell_references(
    references: Mapping[int, Sequence[ReferencePick]], names: Mapping[int, str]
) -> str:
    """Say how many references each class has, and how many where some are repetitions.

    Args:
        references: By category id.
        names: By category id.

    Returns:
        Such as `3 references of 2 classes: bird 1, boat 2`.
    """
    rows = [
        (names[category], len(picks), len({(pick.img_id, pick.ann_ids[0]) for pick in picks}))
        for category, picks in references.items()
    ]
    counts = [count for _, count, _ in rows]
    each = f", {counts[0]} each"
    if len(set(counts)) > 1:
        each = f": {listed([f'{name} {count}' for name, count, _ in rows], MAX_SHOWN)}"
    text = f"{sum(counts)} references of {len(rows)} classes{each}"
    fewer = [f"{name} {different}" for name, count, different in rows if different < count]
    return f"{text}; without repetitions: {listed(fewer, MAX_SHOWN)}" if fewer else text


def read_reference_set(path: str | Path) -> dict[int, list[ReferencePick]]:
    """Read a reference set, a pickle or json, in its own order.

    Raises:
        InputError: The file is missing, damaged, unsafe, or holds something else.
    """
    path = Path(path)
    check_regular_file(path, "the reference set")
    try:
        return _checked(_load(_bytes(path)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_reference_set(
    path: str | Path, references: Mapping[int, Sequence[ReferencePick]]
) -> None:
    """Write a reference set as a pickle of plain dicts and lists."""
    plain = {category: [asdict(pick) for pick in picks] for category, picks in references.items()}
    with atomic_write(Path(path), "wb") as file:
        pickle.dump(plain, file, protocol=4)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"a reference set this large ({path.stat().st_size} bytes) is not read"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            "there is no such reference set; make one with few_shot_sampling.py or coco_to_pkl.py"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error}); expected a reference set") from None


def _load(data: bytes) -> Any:
    """Plain Python data of a json object or a pickle."""
    if not data.strip():
        raise InputError("the file is empty; make the reference set again")
    if data.lstrip()[:1] == b"{":
        return _load_json(data)
    _check_opcodes(data)
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    # A damaged pickle raises whatever the step it breaks in happens to raise.
    except Exception:
        raise InputError(DAMAGED) from None


def _load_json(data: bytes) -> Any:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "a number of too many digits" if "4300" in str(error) else error
        raise InputError(f"neither a pickle nor valid json ({reason})") from None
    return {_category_key(key): picks for key, picks in document.items()}


def _category_key(key: str) -> int | str:
    """Json keys are strings; category ids are whole numbers."""
    try:
        return int(key)
    except ValueError:
        return key


class _PlainUnpickler(pickle.Unpickler):
    """Second lock behind the opcode check: no Python object is ever looked up."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def _check_opcodes(data: bytes) -> None:
    """Refuse a pickle that holds more than plain data or would allocate more than its size."""
    try:
        argument: Any
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name not in SAFE_OPCODES:
                raise InputError(_why_unsafe(opcode.name, argument))
            # The memo is an array as long as its largest index.
            if opcode.name in MEMO_OPCODES and argument > count:
                raise InputError(DAMAGED)
    except InputError:
        raise
    except Exception:
        raise InputError(DAMAGED) from None


def _why_unsafe(opcode: str, argument: Any) -> str:
    found = f"{opcode} {brief(argument)}" if argument is not None else opcode
    return (
        f"refused, it holds more than dicts, lists, strings and numbers (pickle opcode {found}); "
        "convert tuples with list() and numpy numbers with int(), and save it again"
    )


def _checked(document: Any) -> dict[int, list[ReferencePick]]:
    if not isinstance(document, dict) or not document:
        raise InputError(
            'expected a dict of category_id -> [{"img_id": ..., "ann_ids": [...]}, ...], '
            f"got {brief(document)}"
        )
    references = {}
    _refuse_too_many(document)
    for category, picks in document.items():
        if type(category) is not int:
            raise InputError(f"category ids are whole numbers, got {brief(category)}")
        if not isinstance(picks, list):
            raise InputError(f"category {category} must have a list, got {brief(picks)}")
        references[category] = [_pick(category, pick) for pick in picks]
    return references


def _refuse_too_many(document: dict[Any, Any]) -> None:
    """Count references and their ids before any of them is looked at."""
    count = 0
    for picks in document.values():
        for pick in picks if isinstance(picks, list) else ():
            ann_ids = pick.get("ann_ids") if isinstance(pick, dict) else None
            count += 1 + (len(ann_ids) if isinstance(ann_ids, list) else 0)
            if count > MAX_IDS:
                raise InputError(
                    f"it holds more than {MAX_IDS} annotation ids, some of them lists that are "
                    "used many times; make the reference set again"
                )


def _pick(category: int, pick: Any) -> ReferencePick:
    if not isinstance(pick, dict) or not _is_id(pick.get("img_id")):
        raise InputError(
            f'a reference of category {category} must be {{"img_id": ..., "ann_ids": [...]}}, '
            f"got {brief(pick)}"
        )
    ann_ids = pick.get("ann_ids")
    if not isinstance(ann_ids, list) or not ann_ids or not all(map(_is_id, ann_ids)):
        raise InputError(
            f"a reference of category {category} (image {brief(pick['img_id'])}) must list its "
            f"annotation ids in ann_ids, got {brief(ann_ids)}"
        )
    return ReferencePick(pick["img_id"], ann_ids)


def _is_id(value: Any) -> bool:
    return type(value) is int or type(value) is str
