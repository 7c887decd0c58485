"""What a result is worth: measures of motion and of pictures against real footage."""
