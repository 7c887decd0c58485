"""What a result is worth: measures of motion and of pictures, and an anchor measured on real footage."""
