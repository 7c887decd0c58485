"""Make a live studio (`newscaster serve`) speak, and save the video as it arrives.

    pip install websockets
    export NEWSCASTER_TOKEN=...    # the part after #token= of the link that newscaster serve prints
    python stream_to_file.py "Good evening. Here is the news." news.mp4

The studio sends fragments of one MP4, which a player could show as they arrive.
"""

import json
import os
import sys
from contextlib import ExitStack

from websockets.sync.client import connect

text, path = sys.argv[1:3]
address = os.environ.get("NEWSCASTER_STUDIO", "ws://127.0.0.1:8765") + "/v1/stream"
token = os.environ.get("NEWSCASTER_TOKEN")

with connect(address) as studio, ExitStack() as files:
    if token:
        studio.send(json.dumps({"token": token}))
    studio.send(json.dumps({"output": "mp4"}))  # also: anchor, voice, speed, look_ahead_ms
    studio.send(json.dumps({"type": "say", "text": text}))
    studio.send(json.dumps({"type": "finish"}))  # close after the last sentence
    video = None
    for message in studio:
        if isinstance(message, bytes):
            video = video or files.enter_context(open(path, "wb"))
            video.write(message)
        elif (event := json.loads(message))["type"] == "refused":
            sys.exit(event["error"])
