"""What every test needs of the process that runs it."""

import signal

# `nohup` and jobs in the background ignore signals, and so would the commands that tests start. A
# handler that does nothing ignores them as well, and is not inherited.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda number, frame: None)
