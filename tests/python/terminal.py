"""A program in a terminal: its screen, its input, and whether it restores the terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading

import pyte

SECONDS_MAX = 60


class Terminal:
    """A terminal of a given size, the controlling terminal of one program."""

    def __init__(self, *command, columns=100, lines=30, env=None):
        self.screen = pyte.Screen(columns, lines)
        self.said = b""
        self._stream = pyte.ByteStream(self.screen)
        self._changed = threading.Condition()
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(theirs)
        # Replaced by the program, with the same process id.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *map(str, command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _set_size(self, columns, lines):
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self):
        while True:
            try:
                said = os.read(self._ours, 65536)
            except OSError:
                return
            if not said:
                return
            with self._changed:
                self.said += said
                self._stream.feed(said)
                self._changed.notify_all()

    def resize(self, columns, lines):
        with self._changed:
            self.screen.resize(lines, columns)
            self._set_size(columns, lines)

    def type(self, text):
        os.write(self._ours, text.encode())

    def text(self):
        return "\n".join(self.screen.display)

    def until(self, what, holds):
        """Waits until `holds` is true of the text on the screen; returns that text."""
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self.text()), SECONDS_MAX):
                raise AssertionError(f"never seen: {what}\n{self.text()}")
            return self.text()

    def shows(self, *words):
        return self.until(words, lambda text: all(word in text for word in words))

    def colors(self):
        """The colours of all characters."""
        with self._changed:
            return {cell.fg for row in self.screen.buffer.values() for cell in row.values()}

    def ended(self):
        """Waits for the end; returns the exit code and the state of the terminal."""
        code = self.process.wait(SECONDS_MAX)
        return code, termios.tcgetattr(self._theirs)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._theirs)
        self._reader.join()
        os.close(self._ours)
