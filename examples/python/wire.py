"""wire.py - the messages of docs/PROTOCOL.md to frames and back, for worker.py and client.py"""
import functools
import re

import msgpack

# The table of the document: number, type, senders : header : each item : ext
TABLE = """
1 HELLO client worker : role 0-1, from u64, principal str 0-256, text str 0-1024
2 WELCOME dispatcher : from u64, mode 0-2, interval_ms 1-2147483647, liveness 1-1000, \
phase_ms 0-2147483647, window_tasks u32, window_bytes u64, names array 0-16 of str 1-256
3 REGISTER worker : from u64, session u64, n_slots 1-1024, grant u32, more 0-1, \
names array 0-512 of name : id bin 16, fence fence, state 0-2 : ext
4 REQUEST worker : session u64, grant u32
5 TASK dispatcher : session u64, seq u64 : id bin 16, fence fence, function name, \
queue name or empty, priority u8, digest bin 0 or 32, timeout_ms 0-2147483647, payload payload
6 STARTED worker : session u64 : id bin 16, fence fence
7 RESULT worker : session u64, grant u32 : id bin 16, fence fence, final 1-1, state 2-3, \
failure 0-8, code i32, text str 0-1024, log bin 0-4096, payload payload
8 ACK dispatcher : session u64 : id bin 16, fence fence
9 STALE dispatcher : session u64 : id bin 16, fence fence
10 NOT_MINE dispatcher : session u64 : id bin 16, fence fence
11 RETURN worker : session u64, grant u32 : id bin 16, fence fence
12 BEAT client worker dispatcher : session u64, seq u64, grant u32, held u32
13 DISCONNECT client worker dispatcher : reason 0-14, text str 0-1024
14 SUBMIT client : : id bin 16, function name, queue name or empty, priority u8, \
digest bin 0 or 32, timeout_ms 0-2147483647, max_strikes u32, max_retries u32, payload payload : ext
15 ACCEPTED dispatcher : window_tasks u32, window_bytes u64 : id bin 16, state 0-14
16 WAIT client : : id bin 16
17 DONE dispatcher : : id bin 16, state 0-4, 16-18, failure 0-8, code i32, strikes u32, \
text str 0-1024, log bin 0-4096, payload payload
18 STATUS client : more 0-1 : id bin 16
19 CANCEL client dispatcher : session u64 : id bin 16, fence fence
20 COLLECTED client : : id bin 16
22 ADOPT dispatcher : session u64 : id bin 16, fence fence
23 QUERY client : what 0-1
24 REPORT dispatcher : what 0-1, more 0-1, values array 0-32 of u64 : from u64, \
n_slots 1-1024, held u32, grant u32, silent_ms u32, done u64, text str 0-128
"""
RANGES = {"u8": (0, 2**8 - 1), "u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1), "i32": (-2**31, 2**31 - 1)}
INLINE_MAX, PAYLOAD_MAX = 8192, 4 << 20


class Refused(Exception):
    """A message that the document does not allow: what DISCONNECT shall say"""

    def __init__(self, reason, text):
        super().__init__(text)
        self.reason = reason


def fields(text):
    return [field.split(" ", 1) for field in re.split(r", (?=[a-z])", text) if field]


class Row:
    def __init__(self, line):
        part = [p.strip() for p in line.split(":")] + ["", ""]
        number, self.name, *self.senders = part[0].split()
        self.number, self.header, self.ext = int(number), fields(part[1]), part[3] == "ext"
        self.item = fields(part[2])


ROWS = {row.number: row for row in map(Row, TABLE.strip().splitlines())}
NUMBERS = {row.name: row.number for row in ROWS.values()}


@functools.cache
def rule(kind):
    """The function that says whether a value is of this kind"""
    if kind in ("name", "name or empty"):
        name = re.compile(r"[a-z0-9._-]{1,64}")
        return lambda v: type(v) is str and (name.fullmatch(v) or (v == "" and kind != "name"))
    if m := re.fullmatch(r"array (\d+)-(\d+) of (.+)", kind):
        return lambda v: type(v) is list and int(m[1]) <= len(v) <= int(m[2]) and all(map(rule(m[3]), v))
    if m := re.fullmatch(r"str (\d+)-(\d+)", kind):
        return lambda v: type(v) is str and int(m[1]) <= len(v.encode("utf-8", "surrogateescape")) <= int(m[2])
    if m := re.fullmatch(r"bin (\d+)(-| or |)(\d*)", kind):
        few, many = int(m[1]), int(m[3] or m[1])
        ok = (few, many) if m[2] == " or " else range(few, many + 1)
        return lambda v: type(v) is bytes and len(v) in ok
    if kind == "fence":
        return lambda v: (type(v) is list and len(v) >= 3 and rule("u64")(v[0]) and rule("u32")(v[1])
                          and rule("u64")(v[2]))
    if kind == "payload":
        return lambda v: (type(v) is list and len(v) >= 2 and rule("0-1")(v[0])
                          and rule(f"0-{PAYLOAD_MAX}")(v[1]))
    spans = [RANGES[kind]] if kind in RANGES else [tuple(map(int, s.split("-"))) for s in kind.split(", ")]
    return lambda v: type(v) is int and any(low <= v <= high for low, high in spans)


def plain(v, depth=1):
    """Nothing but nil, bool, integers, str, bin, and arrays at most four deep; also in what is skipped"""
    if type(v) is list:
        return depth <= 4 and all(plain(x, depth + 1) for x in v)
    return v is None or type(v) in (bool, int, str, bytes)


def taken(kinds, values):
    """The named values of a header or an item; what stands behind them is skipped"""
    if type(values) is not list or len(values) < len(kinds):
        raise Refused(7, "too few elements")
    for (name, kind), v in zip(kinds, values):
        if not rule(kind)(v):
            raise Refused(7, f"{name} is not {kind}")
    d = {name: v[:3] if kind == "fence" else v for (name, kind), v in zip(kinds, values)}
    if "failure" in d and (d["state"] == 3 and not d["failure"] or d["state"] == 2 and d["failure"]):
        raise Refused(7, "state and failure contradict each other")
    return d


def encode(name, epoch, header=(), items=()):
    """The frames of a message; a payload stands in its item as bytes"""
    row, inline, frames, packed = ROWS[NUMBERS[name]], [], [], []
    for item in items:
        item = list(item)
        if row.item[-1][0] == "payload":
            payload = item[-1]
            (frames if len(payload) > INLINE_MAX else inline).append(payload)
            item[-1] = [int(len(payload) > INLINE_MAX), len(payload)]
        packed.append(item)
    envelope = [1, row.number, epoch, *header] + ([packed] if row.item else []) + ([[]] if row.ext else [])
    inline = b"".join(inline)
    return [msgpack.packb(envelope)] + ([inline] if inline else []) + frames


def decode(frames, sender="dispatcher"):
    """(type, epoch, header, items) of a message; Refused if it is none"""
    if len(frames[0]) > 65536:
        raise Refused(7, "the envelope is too long")
    try:
        first = msgpack.Unpacker()
        first.feed(frames[0])
        first.read_array_header()
        if rule("u64")(version := first.unpack()) and version != 1:  # the rest may be of another world
            raise Refused(12, f"the peer speaks version {version}, this side version 1")
        e = msgpack.unpackb(frames[0], unicode_errors="surrogateescape", strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise Refused(7, f"not an envelope: {error}") from None
    if not plain(e) or len(e) < 3 or e[0] != 1 or not rule("u64")(e[2]) or not rule("u64")(e[1]):
        raise Refused(7, "not an envelope")
    if e[1] not in ROWS:
        raise Refused(12, f"no type {e[1]} in version 1")
    row = ROWS[e[1]]
    if sender not in row.senders:
        raise Refused(7, f"{row.name} from a {sender}")
    n = 3 + len(row.header)
    header, items = taken(row.header, e[3:]), []
    if row.item:
        if len(e) <= n or type(e[n]) is not list or len(e[n]) > 256:
            raise Refused(7, "no items")
        items = [taken(row.item, item) for item in e[n]]
    if row.ext and (len(e) <= n + 1 or type(e[n + 1]) is not list):
        raise Refused(7, "no ext")
    payloads = [item for item in items if "payload" in item]
    inline = sum(item["payload"][1] for item in payloads if item["payload"][0] == 0)
    lengths = ([inline] if inline else []) + [i["payload"][1] for i in payloads if i["payload"][0] == 1]
    if [len(f) for f in frames[1:]] != lengths:
        raise Refused(7, "the frames are not as the envelope says")
    rest, at = list(frames[1:]), 0
    together = rest.pop(0) if inline else b""
    for item in payloads:
        kind, length = item["payload"][:2]
        item["payload"] = rest.pop(0) if kind else together[at:at + length]
        at += 0 if kind else length
    return row.name, e[2], header, items
