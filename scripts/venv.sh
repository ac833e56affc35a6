# Sourced by demo.sh and test.sh: a virtual environment in .venv with this checkout installed.

# ensure_venv [EXTRA]: sets VENV_PYTHON; does nothing where .venv is newer than pyproject.toml and the lock files.
# Installs exactly the packages that the tests ran with where they fit the platform, else what pyproject.toml allows.
ensure_venv() {
    local extra=${1:-} python=${PYTHON:-python3}
    local stamp=.venv/.installed${extra:+-$extra}
    local lock=(-r requirements.lock ${extra:+-r "requirements-$extra.lock"})
    VENV_PYTHON=.venv/bin/python
    [[ -x $VENV_PYTHON && $stamp -nt pyproject.toml && $stamp -nt requirements.lock ]] && return
    require_python_version "$python"
    echo "Setting up .venv with $("$python" --version) (once: 2 to 4 minutes and 6.2 GB on our machine, mostly PyTorch) ..."
    "$python" -m venv .venv || {
        echo "$python cannot make virtual environments; on Debian or Ubuntu install python3-venv." >&2
        exit 2
    }
    if lock_fits "$VENV_PYTHON"; then
        "$VENV_PYTHON" -m pip install --quiet --no-deps --require-hashes "${lock[@]}"
        "$VENV_PYTHON" -m pip install --quiet --no-deps --no-build-isolation --editable .
    else
        "$VENV_PYTHON" -m pip install --quiet --editable ".${extra:+[$extra]}"
    fi
    touch "$stamp"
}

require_python_version() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
        echo "Python 3.10 to 3.13 is needed and $1 is $("$1" --version 2>&1); name another in PYTHON." >&2
        exit 2
    }
}

# lock_fits PYTHON: whether the files named in the lock are for this interpreter; scripts/lock.py makes them.
lock_fits() {
    "$1" -c 'import platform, sys
sys.exit((sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 11)))'
}
