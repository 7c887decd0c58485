"""A program that answers: reads the conversation as JSON, prints a sentence per line. Replace it by yours.

    echo '[{"role": "user", "content": "what time is it"}]' | python answer.py

A language model takes the same list of messages: print each of its sentences as soon as it is complete.
"""

import json
import sys
from datetime import datetime

NEWS = (
    "Here is the news.",
    "The bridge across the harbour opens again on Friday, after two years of work.",
    "Ferries go on until the end of the month.",
    "And the weather stays dry until the weekend.",
)


def answer(question: str) -> tuple[str, ...]:
    """Return the sentences of an answer."""
    words = question.lower().split()
    if "news" in words:
        return NEWS
    if "time" in words or "clock" in words:
        now = datetime.now()
        return (f"It is {now.hour}:{now.minute:02}.",)
    if "weather" in words:
        return ("It stays dry until the weekend.",)
    if "stop" in words or "quiet" in words:
        return ("All right.",)
    return (f"You said: {question}.", "Ask me for the news, the weather or the time.")


if __name__ == "__main__":
    for sentence in answer(json.load(sys.stdin)[-1]["content"]):
        print(sentence, flush=True)
