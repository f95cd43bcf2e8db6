#!/usr/bin/python3
"""Follows a log file of cmcwh (JSON lines) and adds its events to a Redis stream, each id once.

The events, the ids seen and how far we are go to Redis in one transaction, so killing this program,
Redis or the machine at any time loses nothing and adds nothing twice. Nothing is kept here: each
turn begins where Redis says. Needs python3-redis."""

import argparse
import os
import re
import socket
import sys
import time

import redis

BATCH = 256 * 1024  # bytes: some 450 events, one fsync of Redis
EVENT = re.compile(rb'^\{"seq":\d+,"id":"([0-9a-f]{16})".*\}\n$')

# KEYS: stream, positions, repeats. ARGV: source, its position as we know it, the new one, window,
# then id and event of each.
ADD = """
if (redis.call('HGET', KEYS[2], ARGV[1]) or '0 ') ~= ARGV[2] then return -1 end
local repeats = 0
for i = 5, #ARGV, 2 do
    local id = KEYS[1] .. ':id:' .. ARGV[i]
    if redis.call('EXISTS', id) == 0 then
        -- First the event: should this fail, its id has not been seen.
        redis.call('XADD', KEYS[1], '*', 'source', ARGV[1], 'event', ARGV[i + 1])
        redis.call('SET', id, '', 'EX', ARGV[4])
    else
        repeats = repeats + 1
    end
end
if repeats > 0 then redis.call('HINCRBY', KEYS[3], ARGV[1], repeats) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return repeats
"""


def say(text):
    print("ship: " + text, file=sys.stderr, flush=True)


def open_files(path):
    """PATH.N ... PATH.1, PATH: oldest first. Opened in the direction in which rotation renames them,
    so that none is missed; one that was met twice counts once."""
    folder, name = os.path.split(os.path.abspath(path))
    numbers = [int(entry[len(name) + 1:]) for entry in os.listdir(folder)
               if re.fullmatch(re.escape(name) + r"\.\d+", entry)]
    files, seen = [], set()
    for suffix in [""] + [".%d" % number for number in range(1, max(numbers, default=0) + 3)]:
        try:
            file = os.open(path + suffix, os.O_RDONLY)
        except FileNotFoundError:
            continue
        status = os.fstat(file)
        if (status.st_dev, status.st_ino) in seen:
            os.close(file)
        else:
            seen.add((status.st_dev, status.st_ino))
            files.insert(0, file)
    return files


def find(files, offset, line):
    """The file in which `line` ends at `offset`: whatever it is called now."""
    for index, file in enumerate(files):
        if os.pread(file, len(line), offset - len(line)) == line:
            return index
    return None


def pairs(lines):
    """id and line of each event, for Redis."""
    for line in lines:
        found = EVENT.match(line)
        if found:
            yield found.group(1)
            yield line[:-1]
        else:
            say("not a line of cmcwh, left out: %r" % line[:80])


def ship(add, options, position, files):
    """Everything that comes after the position. Returns the number of lines."""
    offset, _, line = position.partition(b" ")
    offset, count = int(offset), 0
    first = find(files, offset, line)
    if first is None:
        say("the last line that was sent is gone: lines may be missing; sending all that are there")
        first, offset = 0, 0
    for file in files[first:]:
        while True:
            lines = re.findall(rb"[^\n]*\n", os.pread(file, BATCH, offset))
            if not lines:  # the writer may be in the midst of one
                break
            offset += sum(map(len, lines))
            new = b"%d %s" % (offset, lines[-1])
            if add(args=[options.source, position, new, options.window, *pairs(lines)]) == -1:
                say("somebody else sends for the source '%s'" % options.source)
                return 0
            position, count = new, count + len(lines)
        offset = 0
    return count


def turn(server, add, options):
    position = server.hget(options.stream + ":position", options.source) or b"0 "
    files = open_files(options.file)
    try:
        return ship(add, options, position, files)
    finally:
        for file in files:
            os.close(file)


def main():
    parser = argparse.ArgumentParser(description="Adds the events of a log file of cmcwh to a Redis stream.")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379", metavar="URL")
    parser.add_argument("--stream", default="cmcwh", metavar="KEY")
    parser.add_argument("--source", metavar="NAME", help="whose events they are; default: HOST:FILE")
    parser.add_argument("--window", type=int, default=86400, metavar="SECONDS",
                        help="how long an id is remembered; default: a day")
    parser.add_argument("file", metavar="FILE")
    options = parser.parse_args()
    options.source = options.source or "%s:%s" % (socket.gethostname(), os.path.abspath(options.file))
    server = redis.Redis.from_url(options.redis, socket_timeout=10)
    script = server.register_script(ADD)
    keys = [options.stream + suffix for suffix in ("", ":position", ":repeats")]
    trouble = None
    while True:
        try:
            if turn(server, lambda args: script(keys=keys, args=args), options) == 0:
                time.sleep(0.1)
            if trouble:
                say("goes on")
            trouble = None
        except (redis.RedisError, OSError) as error:
            if str(error) != trouble:
                say("waits: %s" % error)
            trouble = str(error)
            time.sleep(1)


main()
