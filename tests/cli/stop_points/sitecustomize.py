"""Makes a Python process wait at a named point, for tests that send it a signal there.

Python imports this at its start where the folder is on PYTHONPATH. STOP_AT names the point:
`import MODULE`, or `MODULE:FUNCTION` or `MODULE:CLASS.METHOD` with ` #N` for its Nth call. There
the process with LOCAL_RANK STOP_RANK writes its id into the file STOP_FILE, and waits.
"""

import functools
import importlib.abc
import importlib.util
import os
import sys
import time


def wait():
    marker = os.environ["STOP_FILE"]
    with open(f"{marker}.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{marker}.new", marker)
    if "no_time_to_train.termination" in sys.modules:
        sys.modules["no_time_to_train.termination"].STEP_SECONDS = 1  # this step has no end
    time.sleep(60)


def stop_in(owner, name, nth):
    function, calls = getattr(owner, name), []

    @functools.wraps(function)
    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == nth:
            wait()
        return function(*args, **kwargs)

    setattr(owner, name, stopping)


class Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module, path, nth):
        self.module, self.path, self.nth = module, path, nth

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        if not self.path:
            wait()
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_patch(module):
            execute(module)
            *owners, function = self.path.split(".")
            stop_in(functools.reduce(getattr, owners, module), function, self.nth)

        spec.loader.exec_module = execute_and_patch
        return spec


def arrange(point):
    if point.startswith("import "):
        module, path, nth = point.removeprefix("import "), "", 1
    else:
        place, _, nth = point.partition(" #")
        module, _, path = place.partition(":")
    if module in sys.modules:
        stop_in(sys.modules[module], path, int(nth or 1))
    else:
        sys.meta_path.insert(0, Finder(module, path, int(nth or 1)))


if (
    os.environ.get("LOCAL_RANK", "0") == os.environ.get("STOP_RANK", "0")
    and "STOP_AT" in os.environ
):
    arrange(os.environ["STOP_AT"])
