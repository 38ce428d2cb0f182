"""Keeps a copy of a view for some seconds and prints its rows: follow.py ws://127.0.0.1:8080/ws VIEW SECONDS"""

import asyncio, json, sys
from websockets.asyncio.client import connect


async def follow(url, view, rows):
    key, at = [], None
    async for socket in connect(url):  # comes back by itself, and goes on where it was
        await socket.send(json.dumps({"op": "subscribe", "view": view, "from": at}))
        async for frame in map_json(socket):
            if frame["type"] in ("snapshot", "resync"):
                rows.clear()
                key = frame.get("key", key)
            for row in frame.get("rows", []):
                rows[tuple(row[name] for name in key)] = row
            for row in frame.get("gone", []):
                rows.pop(tuple(row[name] for name in key), None)
            if frame["type"] == "progress":  # all up to this tick is in the copy
                at = frame["at"]
            if frame["type"] == "error":
                sys.exit(frame["message"])


async def map_json(socket):
    async for message in socket:
        yield json.loads(message)


async def main(url, view, seconds):
    rows = {}
    try:
        await asyncio.wait_for(follow(url, view, rows), float(seconds))
    except TimeoutError:
        print(*map(json.dumps, rows.values()), sep="\n")


asyncio.run(main(*sys.argv[1:]))
