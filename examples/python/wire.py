"""wire.py - the messages of docs/PROTOCOL.md to frames and back, for worker.py and client.py

It checks no more than it needs: a peer of strangers should check every bound of the document's table.
"""
import msgpack

VERSION = 2
INLINE_MAX = 8192
# number: name, the fields of the header, the fields of each item; as in the document
TABLE = {
    1: ("HELLO", "role from principal text", ""),
    2: ("WELCOME", "from mode interval_ms liveness phase_ms window_tasks window_bytes names", ""),
    3: ("REGISTER", "from session n_slots grant more names", "id fence state"),
    4: ("REQUEST", "session grant", ""),
    5: ("TASK", "session seq", "id fence function queue priority digest timeout_ms payload"),
    6: ("STARTED", "session", "id fence"),
    7: ("RESULT", "session grant", "id fence final state failure code text log payload"),
    8: ("ACK", "session", "id fence"),
    9: ("STALE", "session", "id fence"),
    10: ("NOT_MINE", "session", "id fence"),
    11: ("RETURN", "session grant", "id fence"),
    12: ("BEAT", "session seq grant held", ""),
    13: ("DISCONNECT", "reason text", ""),
    14: ("SUBMIT", "", "id function queue priority digest timeout_ms max_strikes max_retries payload"),
    15: ("ACCEPTED", "window_tasks window_bytes", "id state"),
    16: ("WAIT", "", "id"),
    17: ("DONE", "", "id state failure code strikes text log payload"),
    19: ("CANCEL", "session", "id fence"),
    20: ("COLLECTED", "", "id"),
    22: ("ADOPT", "session", "id fence"),
}
NUMBERS = {row[0]: number for number, row in TABLE.items()}
EXT = ("REGISTER", "SUBMIT")  # their envelopes end in an array for extensions


def encode(name, epoch, header=(), items=()):
    """The frames of a message; a payload stands last in its item, as bytes"""
    fields, inline, large, packed = TABLE[NUMBERS[name]][2].split(), b"", [], []
    for item in map(list, items):
        if fields[-1] == "payload":
            payload = item.pop()
            own = len(payload) > INLINE_MAX  # in a frame of its own
            item.append([int(own), len(payload)])
            inline, large = (inline, large + [payload]) if own else (inline + payload, large)
        packed.append(item)
    envelope = [VERSION, NUMBERS[name], epoch, *header] + [packed] * bool(fields) + [[]] * (name in EXT)
    return [msgpack.packb(envelope)] + [inline] * bool(inline) + large


def whole(fields, entries):
    """The items, each as a dictionary, of what stands for them: rows are told by what differs"""
    items = []
    for entry in entries:
        if isinstance(entry, int):  # so many follow, each with a payload like that of the one before
            items += [following(items[-1], i) for i in range(1, entry + 1)]
        elif fields[-1] == "payload" and len(entry) == 2:  # one follows, with another payload
            items.append({**following(items[-1], 1), "payload": entry})
        else:
            items.append(dict(zip(fields, entry)))
    return items


def following(item, n):
    low = (int.from_bytes(item["id"][8:], "big") + n) % 2**64
    item = {**item, "id": item["id"][:8] + low.to_bytes(8, "big")}
    if "fence" in item:
        item["fence"] = [*item["fence"][:2], item["fence"][2] + n]
    return item


def decode(frames):
    """(name, epoch, header, items) of a message, what stands in both by name"""
    version, number, epoch, *rest = msgpack.unpackb(frames[0], unicode_errors="surrogateescape")
    if version != VERSION or number not in TABLE:
        raise ValueError(f"version {version}, type {number}")
    name, header, fields = TABLE[number]
    n = len(header.split())
    items = whole(fields.split(), rest[n]) if fields else []
    rest_of_frames, at = list(frames[1:]), 0
    carried = [item for item in items if "payload" in item]
    inline = rest_of_frames.pop(0) if any(item["payload"][0] == 0 and item["payload"][1] for item in carried) else b""
    for item in carried:
        own, length = item["payload"][:2]
        item["payload"] = rest_of_frames.pop(0) if own else inline[at:at + length]
        at += 0 if own else length
    return name, epoch, dict(zip(header.split(), rest)), items
