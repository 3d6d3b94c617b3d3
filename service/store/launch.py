"""Becomes the embedded server, in a way that it ends when the service does, however that ends.

Run as a program of its own: ``python -I -S launch.py PARENT_PID LIFELINE SERVER ARGUMENT...``. It needs the standard
library only. Nothing may run between fork and exec in the service itself, which has many threads: so it runs here.
"""

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Linux: have the kernel end this process when the thread that started it ends. It outlives exec."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it ended before we could ask
        sys.exit(0)


def watch(lifeline: int) -> None:
    """Elsewhere: leave a child behind that ends this process when nobody holds the other end of a pipe any more."""
    server = os.getpid()
    if os.fork() != 0:
        os.close(lifeline)
        return
    # The server's lock must not be held by anything but the server.
    os.closerange(3, lifeline)
    os.closerange(lifeline + 1, 256)
    while os.getppid() == server:
        readable, _, _ = select.select([lifeline], [], [], 1.0)
        if readable:
            if os.getppid() == server:
                os.kill(server, signal.SIGTERM)
            break
    os._exit(0)


def main(parent_pid: int, lifeline: int, command: list[str]) -> None:
    if lifeline < 0:
        die_with_parent(parent_pid)
    else:
        watch(lifeline)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
