"""The face as geometry: landmarks, the head's own frame, mouth shapes, regions, face maps, compositing."""
