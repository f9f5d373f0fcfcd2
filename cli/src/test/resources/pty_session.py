"""Runs a command on a pseudo-terminal and says how it ended.

usage: pty_session.py SECONDS [EXPECT ACTION]... -- COMMAND...
ACTION is what to type, with Python's escapes; the name of a signal to send; or "FILES N": no file may grow beyond N
bytes from now on (-1: any may).
SECONDS limits all of it. Prints "status N", "restored yes" or "restored no", then what the terminal showed.
"""
import fcntl
import os
import resource
import select
import signal
import subprocess
import sys
import termios
import time

split = sys.argv.index("--")
steps = [text.encode().decode("unicode_escape").encode("latin1") for text in sys.argv[2:split]]
master, slave = os.openpty()
before = termios.tcgetattr(slave)


def begin():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # What was started in the background ignores some, and so does all that it starts.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


process = subprocess.Popen(
    sys.argv[split + 1 :],
    stdin=slave,
    stdout=slave,
    stderr=slave,
    start_new_session=True,
    preexec_fn=begin,
)
shown = b""
searched = 0
deadline = time.time() + float(sys.argv[1])


def read(seconds):
    global shown
    if not select.select([master], [], [], seconds)[0]:
        return False
    shown += os.read(master, 65536)
    return True


for expect, action in zip(steps[::2], steps[1::2]):
    while expect not in shown[searched:]:
        if not read(0.2) and (process.poll() is not None or time.time() > deadline):
            process.kill()
            print("no", expect, "in", shown[-1000:])
            sys.exit(1)
    searched = shown.index(expect, searched) + len(expect)
    if action.startswith(b"SIG"):
        process.send_signal(getattr(signal, action.decode()))
    elif action.startswith(b"FILES "):
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (int(action[6:]), hard))
    else:
        os.write(master, action)
while process.poll() is None:
    read(0.05)
    if time.time() > deadline:
        process.kill()
        print("still running, showed", shown[-1000:])
        sys.exit(1)
while read(0.05):
    pass
print("status", process.returncode)
print("restored", "yes" if termios.tcgetattr(slave) == before else "no")
sys.stdout.flush()
sys.stdout.buffer.write(shown)
