"""Read a json file of annotations, and tell where and why it cannot be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from no_time_to_train.errors import InputError


def load_json(path: Path, form: str = "COCO") -> Any:
    """The parsed document, whatever it holds.

    Args:
        path: The file.
        form: What it should be a json of, for messages.

    Raises:
        InputError: The file is missing or no json; the message is the second half of a sentence.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no such file; check the path to the {form} json") from None
    except UnicodeDecodeError:
        raise InputError(f"not a json file but a binary one; expected {form} annotations") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error}); expected a {form} json file") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(_why_not_json(error, form)) from None
    except (RecursionError, ValueError):
        raise InputError(f"not a {form} json: its values nest too deep or are too long") from None


def _why_not_json(error: json.JSONDecodeError, form: str) -> str:
    length = len(error.doc.rstrip())
    if length == 0:
        return f"the file is empty; expected annotations in {form} format"
    # A literal such as `false` that is cut off is reported at its beginning.
    at_the_end = error.pos >= length - len("false") or error.msg.startswith("Unterminated string")
    if at_the_end and _is_open(error.doc):
        return f"the json is cut off after {length} characters; copy or download it again"
    before = error.doc[: error.pos].rstrip()
    # Python before 3.13 reports a trailing comma as what is missing behind it.
    comma = before.endswith(",") and error.doc[error.pos : error.pos + 1] in ("]", "}")
    reason = "a comma before a closing bracket" if comma else error.msg
    return (
        f"not valid json at line {error.lineno}, column {error.colno} ({reason}); "
        f"expected annotations in {form} format"
    )


def _is_open(text: str) -> bool:
    """Whether a string or a bracket is not closed at the end."""
    brackets = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL)
    opened = sum(map(brackets.count, "[{"))
    return '"' in brackets or opened > sum(map(brackets.count, "]}"))
