"""What is found in pictures, in the forms that other programs read."""
