"""Pictures for people: predictions beside the truth, and what the memory holds of a reference."""
