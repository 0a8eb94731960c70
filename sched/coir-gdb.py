# coir-gdb.py -- coir's fibers, for gdb
#
#   (gdb) source /usr/local/share/coir/coir-gdb.py
#   (gdb) coir-fibers              all of them: id, name, what each does
#   (gdb) coir-fibers bt           the same, with the backtraces of who waits
#   (gdb) coir-fiber 7             the backtrace of fiber 7
#   (gdb) coir-fiber 7 info locals any command, where fiber 7 left its own code
#
# For programs that run and for core files alike: it reads, and changes neither
# memory nor registers. coir itself has to have its debug information.
#
# A fiber that waits has its registers in its context (sched/backtrace.c says
# how they lie there). While one of the commands looks at it, an unwinder says
# of the innermost frame of the selected thread that those are its caller's.

import gdb
from gdb.unwinder import Unwinder

SAVED = {"rbp": -8, "rbx": -16, "r15": -24, "r14": -32, "r13": -40, "r12": -48}
ARMED, PARKED, PHASE = 1, 2, 3  # sched/word.h
IN_CHUNK = 4096  # slots: fiber/fiber.c
IS_NUMBER = 2  # COIR_I_WAIT_NUMBER


def value(expression):
    try:
        return gdb.parse_and_eval(expression)
    except gdb.error:
        raise gdb.GdbError("no coir here, or one without debug information")


def word_at(address):
    memory = gdb.selected_inferior().read_memory(address, 8)
    return int.from_bytes(bytes(memory), "little")


def symbol_at(address):
    text = gdb.execute("info symbol %#x" % address, to_string=True)
    return text.split()[0]


def text_of(chars):
    return chars.string(errors="replace", length=-1).split("\0")[0]


class Fiber:
    """One life: several may share a slot, each on the stack of the next."""

    def __init__(self, slot, life, inner):
        self.slot = slot
        self.id = int(life["id"])
        self.name = text_of(life["name"])
        self.inner = inner
        self.phase = int(slot["word"]) & PHASE

    def is_parked(self):
        return self.phase == PARKED

    def who(self):
        return "%d '%s'" % (self.id, self.name) if self.name else str(self.id)

    def wait(self):
        stack = self.slot["stack"].dereference()
        wait = stack["wait"].dereference()
        on = int(stack["waits_on"])
        what = wait["what"].string()
        if int(wait["flags"]) & IS_NUMBER:
            what += " %d" % on
        elif on:
            what += " %#x" % on
        passed = int(value("coir_i_clock_coarse")) - int(stack["waits_since"])
        return "%s, %.1f s so far" % (what, max(passed, 0) / 1e9)

    def does(self, runners):
        if self.inner:
            return "closes a nursery: fiber %d runs on its stack" % self.inner
        if int(self.slot.address) in runners:
            return "runs on " + runners[int(self.slot.address)]
        if self.phase in (ARMED, PARKED):
            return "waits: " + self.wait()
        return "is ready"


def workers():
    """Slot that runs -> where."""
    found = {}
    runtime = value("coir_i_runtime")
    threads = {t.ptid[1]: t.num for t in gdb.selected_inferior().threads()}
    for i in range(int(runtime["count"])):
        worker = runtime["workers"][i]
        where = "worker %d" % i
        try:
            number = threads.get(int(worker["tid"]))
            where += ", thread %d" % number if number else ""
        except gdb.error:
            pass
        running = int(worker["thread"]["running"])
        if running != int(worker["thread"]["own"].address):
            found[running] = where
    return found


def slots():
    made = int(value("'fiber/fiber.c'::made"))
    chunks = value("'fiber/fiber.c'::chunks")
    for index in range(made):
        chunk = chunks[index // IN_CHUNK]
        yield chunk[index % IN_CHUNK]


def fibers():
    for slot in slots():
        if not int(slot["stack"]) or not int(slot["life"]):
            continue
        life, inner = slot["life"], 0
        while int(life):
            fiber = Fiber(slot, life.dereference(), inner)
            yield fiber
            inner = fiber.id
            life = life.dereference()["outer"]


def find(number):
    for fiber in fibers():
        if fiber.id == number:
            return fiber
    raise gdb.GdbError("there is no fiber %d" % number)


# ---- backtraces


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(pc)


class Parked(Unwinder):
    """Of the frame with these registers, the caller is who parked there."""

    def __init__(self):
        super().__init__("coir")
        self.context = None

    def __call__(self, pending):
        if self.context is None:
            return None
        at = [int(pending.read_register(r)) for r in ("rsp", "rip")]
        if at != self.base:
            return None
        info = pending.create_unwind_info(FrameId(self.context, at[1]))
        word = gdb.lookup_type("unsigned long")
        for register, offset in SAVED.items():
            saved = gdb.Value(word_at(self.goes_on + offset)).cast(word)
            info.add_saved_register(register, saved)
        info.add_saved_register(
            "rip", gdb.Value(word_at(self.goes_on)).cast(word))
        info.add_saved_register("rsp", gdb.Value(self.goes_on + 8).cast(word))
        return info

    def look_at(self, fiber):
        frame = gdb.newest_frame()
        self.base = [int(frame.read_register(r)) for r in ("rsp", "rip")]
        context = int(fiber.slot["context"])
        for offset in (0x38, 0x40):
            if symbol_at(word_at(context + offset)) == "coir_i_switch":
                self.goes_on = context + offset
                self.context = context
                gdb.invalidate_cached_frames()
                return
        raise gdb.GdbError("its context is not one that is known here")

    def look_away(self):
        self.context = None
        gdb.invalidate_cached_frames()


parked = Parked()
gdb.unwinder.register_unwinder(None, parked, replace=True)


def frames():
    frame = gdb.newest_frame().older()
    while frame is not None and frame.is_valid():
        yield frame
        if frame.name() in ("coir_i_fiber_main", "coir_i_context_entry"):
            return
        frame = frame.older()


def arguments(frame):
    try:
        block = frame.block()
    except RuntimeError:
        return ""
    found = []
    while block is not None and block.function is None:
        block = block.superblock
    for symbol in block or ():
        if symbol.is_argument:
            found.append("%s=%s" % (symbol.name, symbol.value(frame)))
    return ", ".join(found)


def show_frames():
    for level, frame in enumerate(frames()):
        line = "  #%-2d %s (%s)" % (level, frame.name() or hex(frame.pc()),
                                    arguments(frame))
        sal = frame.find_sal()
        if sal.symtab is not None:
            line += " at %s:%d" % (sal.symtab.filename, sal.line)
        else:
            line += " at %#x" % frame.pc()
        print(line)


def user_frame():
    """The caller of the first public function, or the innermost at all."""
    inside = True
    for frame in frames():
        name = frame.name() or ""
        if name.startswith("coir_"):
            inside = inside and name.startswith("coir_i_")
        elif not inside:
            return frame
    return next(frames())


def with_fiber(fiber, action):
    if not fiber.is_parked():
        raise gdb.GdbError("fiber %s %s" % (fiber.who(), fiber.does(workers())))
    selected = gdb.selected_frame()
    level = selected.level()
    parked.look_at(fiber)
    try:
        action()
    finally:
        parked.look_away()
        gdb.execute("frame %d" % level, to_string=True)


class Fibers(gdb.Command):
    """coir-fibers [bt]: all fibers; with the backtraces of those who wait."""

    def __init__(self):
        super().__init__("coir-fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        runners = workers()
        for fiber in fibers():
            print("fiber %s %s" % (fiber.who(), fiber.does(runners)))
            if argument == "bt" and fiber.is_parked() and not fiber.inner:
                with_fiber(fiber, show_frames)


class OneFiber(gdb.Command):
    """coir-fiber ID [COMMAND]: the backtrace of a fiber that waits; or do
COMMAND in the innermost frame of it that is not coir's."""

    def __init__(self):
        super().__init__("coir-fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if not words or not words[0].isdigit():
            raise gdb.GdbError("usage: coir-fiber ID [COMMAND]")
        command = words[1] if len(words) > 1 else "bt"

        def act():
            if command == "bt":
                show_frames()
                return
            user_frame().select()
            gdb.execute(command)

        with_fiber(find(int(words[0])), act)


Fibers()
OneFiber()
