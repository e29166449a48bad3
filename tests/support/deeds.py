"""What a task of a crew may do to its worker, each by its name; `start` gives a worker that does them."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from convbench.errors import ConvbenchError


class OddError(BaseException):
    """An exception that no `except Exception` catches, and whose text cannot be had."""

    def __str__(self):
        raise RuntimeError("no text")


def start(desk):
    return Deeds(desk)


def start_slowly(desk):
    time.sleep(0.2)
    return Deeds(desk)


def start_at_the_third_try(desk):
    if desk.number < 3:
        os._exit(3)
    return Deeds(desk)


def refuse(desk):
    raise ConvbenchError("there is no such plugin")


def die_at_start(desk):
    print("going down")
    sys.stdout.flush()
    os._exit(3)


class Deeds:
    def __init__(self, desk):
        self.desk = desk

    def __call__(self, task):
        name, *words = task
        self.desk.begin(name, 0.0)
        return getattr(self, name)(*words)

    def add(self, *numbers):
        return sum(numbers)

    def post(self, *contents):
        for content in contents:
            print(f"about {content}", flush=True)
            self.desk.post(content)
        return len(contents)

    def raise_error(self):
        raise ZeroDivisionError("by nothing")

    def raise_odd(self):
        raise OddError

    def interrupt(self):
        raise KeyboardInterrupt

    def leave(self):
        sys.exit(0)

    def end(self, status):
        os._exit(status)

    def segfault(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def abort(self):
        os.abort()

    def terminate(self):
        os.kill(os.getpid(), signal.SIGTERM)

    def loop(self, limit_s):
        self.desk.begin("a loop", limit_s)
        while True:
            pass

    def sleep_in_c(self, limit_s):
        self.desk.begin("a sleep", limit_s)
        ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock

    def ignore_signals(self, limit_s):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.loop(limit_s)

    def eat(self):
        kept = []
        while True:
            kept.append(bytearray(b"\1" * 2**24))

    def feed_child(self):
        """Have a child take memory, which no limit of this process counts."""
        code = "import time; kept = bytearray(b'\\1' * 2**30); time.sleep(60)"
        subprocess.run([sys.executable, "-c", code], check=False)

    def fork(self):
        if os.fork() == 0:
            return "from the copy"
        return "from the worker"

    def fork_and_end(self):
        """End while a copy of the process keeps all its files open."""
        if os.fork() == 0:
            time.sleep(60)
        os._exit(5)

    def fork_and_begin(self, path):
        """Do a part of the task in a copy, too; `path` exists if the copy comes so far."""
        copy = os.fork()
        self.desk.begin("a part")
        if copy == 0:
            Path(path).touch()
            os._exit(0)
        os.waitpid(copy, 0)

    def ask_what_forks(self, path):
        """Ask an algorithm that forks what it refuses; `path` exists if the copy has the answer, too."""
        from algorithms.direct import Direct  # no other deed needs this and Numba, which take a second
        from convbench.problem.notation import parse

        process = os.getpid()

        class Forks(Direct):
            def limits(self, problem, direction):
                if (copy := os.fork()) != 0:
                    os.waitpid(copy, 0)

        refused = Forks().refuses(parse("n1c1h1w1-k1r1s1"), "forward")
        if os.getpid() != process:
            Path(path).touch()
            os._exit(0)
        return refused

    def leave_running(self):
        """Leave a program, a copy, and a program whose parent has ended."""
        told = subprocess.run(["sh", "-c", "sleep 60 >&- & echo $!"], stdout=subprocess.PIPE, check=True).stdout
        self.left = [self.start_child(), os.fork(), int(told)]
        if self.left[1] == 0:
            time.sleep(60)

    def count_left(self):
        return sum(map(psutil.pid_exists, self.left))

    def start_child(self):
        return subprocess.Popen(["sleep", "60"]).pid

    def start_thread(self):
        threading.Thread(target=time.sleep, args=(60,)).start()

    def close_files(self):
        os.closerange(0, 256)

    def close_files_and_begin(self):
        os.closerange(0, 256)
        self.desk.begin("something innocent")

    def fork_many(self, copies):
        kept = bytearray(b"\1" * 2**27)
        for _ in range(copies):
            if os.fork() == 0:
                time.sleep(60)
        time.sleep(1.5)  # until the memory is looked at
        del kept

    def close_output(self):
        os.close(1)
        os.close(2)

    def move(self, folder):
        os.chdir(folder)

    def where(self):
        return os.getcwd()  # noqa: PTH109  (a text)

    def print(self, text):
        print(text, flush=True)
        os.write(2, b"and below Python")

    def print_much(self):
        for _ in range(3000):
            os.write(1, b"x" * 4096)
        print("the end", flush=True)

    def pickle_nothing(self):
        return lambda: None

    def number(self):
        return self.desk.number, os.getpid()

    def number_after(self, seconds):
        self.desk.post("sleeping")
        time.sleep(seconds)
        return self.number()

    def take_turn(self, seconds):
        with self.desk.turn() as granted:
            start = time.monotonic()
            time.sleep(seconds)
            return granted, start, time.monotonic()

    def wait_for_word(self):
        while not (told := self.desk.told()):
            time.sleep(0.01)
        return told
