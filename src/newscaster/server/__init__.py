"""The live studio: anchors over HTTP, WebSocket and WebRTC, and a page. The only importer of the web stack.

::

    page, programs ─► doors ─► api ─┬► Session ─► Anchor.live ─► frames ─┬► WebRTC
                                    │                                    ├► WebSocket: MP4, or pictures
                                    │                                    └► a recording
                                    └► JobQueue ─► a process of its own ─► Anchor.speak ─► a file

A listener is a `Session` with its own `Live`; what it shows goes to sinks that never wait for each other.
"""
