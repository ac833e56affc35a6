"""What stands in the place of `python` where tests/cli/warm.py serves; it starts within 20 ms."""

import json
import os
import signal
import socket
import struct
import sys

SIGNALS = {
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
}
KILL = getattr(signal, "SIGRTMAX", signal.SIGUSR2)  # the latter where nobody serves
"""The child gets SIGKILL in its place."""
RECORD = struct.Struct("Q")


def is_supported(arguments):
    """Whether the server can do it; Python itself runs otherwise."""
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    hooks = any(os.path.exists(os.path.join(place, "sitecustomize.py")) for place in places)
    known = bool(arguments) and (arguments[0] in ("-m", "-c", "-") or arguments[0][:1] != "-")
    return known and not hooks and "LOCAL_RANK" not in os.environ


def call(path, arguments):
    """Have the server run Python with these arguments, and end as that ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until there is a child to pass them on to
    ignored = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    request = json.dumps([arguments, os.getcwd(), dict(os.environ), ignored]).encode()
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    socket.send_fds(server, [RECORD.pack(len(request))], [0, 1, 2])
    server.sendall(request)
    for number in {KILL, *SIGNALS}.difference(ignored):
        signal.signal(number, lambda number, _: server.send(bytes([number])))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    (status,) = RECORD.unpack(server.recv(RECORD.size))
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) in SIGNALS:
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    if not is_supported(sys.argv[2:]):
        os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
    call(sys.argv[1], sys.argv[2:])
