"""Face geometry: landmarks, the head frame, mouth shapes, face crops, landmark maps, compositing."""
