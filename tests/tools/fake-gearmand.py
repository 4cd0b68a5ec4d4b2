#!/usr/bin/env python3
"""fake-gearmand.py - as much of gearmand as faas-bench needs: jobs of one function, status

So that the tests need no server that its package would start for good.
"""
import asyncio
import os
import struct
import sys

CAN_DO, PRE_SLEEP, NOOP, SUBMIT, CREATED, GRAB, NO_JOB, ASSIGN, COMPLETE = 1, 4, 6, 7, 8, 9, 10, 11, 13
jobs, sleepers, workers, owners = [], set(), set(), {}


def say(writer, kind, body=b""):
    writer.write(b"\0RES" + struct.pack(">II", kind, len(body)) + body)


def handle(writer, kind, body):
    if kind == CAN_DO:
        workers.add(writer)
    elif kind == PRE_SLEEP:
        sleepers.add(writer)
    elif kind == GRAB:
        sleepers.discard(writer)
        say(writer, *((ASSIGN, jobs.pop(0) + b"\0task\0") if jobs else (NO_JOB,)))
    elif kind == SUBMIT:
        name = f"H:{len(owners)}".encode()
        owners[name] = writer
        jobs.append(name)
        say(writer, CREATED, name)
        for sleeper in sleepers:
            say(sleeper, NOOP)
    elif kind == COMPLETE:
        say(owners[body.split(b"\0")[0]], COMPLETE, body)


async def serve(reader, writer):
    try:
        while head := await reader.readexactly(1):
            if head == b"s":  # status
                await reader.readline()
                if "FAKE_GEARMAND_MUTE" in os.environ:
                    continue
                writer.write(f"task\t{len(jobs)}\t0\t{len(workers)}\n.\n".encode())
                continue
            kind, length = struct.unpack(">II", (await reader.readexactly(11))[3:])
            handle(writer, kind, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        workers.discard(writer)
        sleepers.discard(writer)


async def main():
    port = int(sys.argv[sys.argv.index("-p") + 1])
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


asyncio.run(main())
