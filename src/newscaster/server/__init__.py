"""The live studio: anchors over HTTP, WebSocket and WebRTC, and a page. The only importer of the web stack.

::

    page, programs ─► middleware ─► api ─┬► Session ─► Anchor.live ─► frames ─┬► WebRTC
                                         │                                    ├► WebSocket: MP4, or JPEG
                                         │                                    └► a recording
                                         └► JobQueue ─► worker process ─► Anchor.speak ─► a file

A client has a `Session` with its own `Live`. Frames go to sinks, which never wait for each other.
"""
